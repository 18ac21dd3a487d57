// Contract: what every SerialPorts keeps to. A function, so that it also runs on a real tty.
import { afterEach, describe, expect, test } from '@jest/globals';
import type { SerialPorts } from '../../src/ports/bytes.ts';

export interface SerialRig {
  readonly ports: SerialPorts;
  /** A port whose other end answers `question` with `answer`. */
  readonly path: string;
  readonly question: Uint8Array;
  readonly answer: Uint8Array;
  /** The device goes away; undefined where it cannot. */
  readonly pull: (() => Promise<void>) | undefined;
  dispose(): Promise<void>;
}

/**
 * What any Klipper answers that nobody has spoken to since its start, as often as one likes: a block out of its turn,
 * and the NAK with the sequence that is due (bytes made by Klipper's klippy/msgproto.py; docs/Protocol.md).
 */
export const KLIPPERS = {
  question: Uint8Array.from(Buffer.from('091201a0002831ed7e', 'hex')),
  answer: Uint8Array.from(Buffer.from('05109e817e', 'hex')),
} as const;

const TIMEOUT_MS = 2000;

export function serialContract(name: string, make: () => Promise<SerialRig>): void {
  describe(`SerialPorts: ${name}`, () => {
    const rigs: SerialRig[] = [];
    afterEach(async () => {
      for (const rig of rigs.splice(0)) await rig.dispose();
    });
    const setUp = async () => {
      const rig = await make();
      rigs.push(rig);
      const port = await rig.ports.open(rig.path);
      /** Until as much has come as was expected, or nothing more comes. */
      const readAll = async (length: number): Promise<number[]> => {
        const bytes: number[] = [];
        while (bytes.length < length) {
          const chunk = await port.read(TIMEOUT_MS);
          if (chunk === undefined) break;
          bytes.push(...chunk);
        }
        return bytes;
      };
      return { ...rig, port, readAll };
    };

    test('bytes go both ways as they are, and are copies', async () => {
      const { port, question, answer, readAll } = await setUp();
      const mine = question.slice();
      const writing = port.write(mine);
      mine.fill(0);
      await writing;
      expect(await readAll(answer.length)).toEqual([...answer]);
      for (let i = 0; i < 3; i++) {
        await port.write(question);
        expect(await readAll(answer.length)).toEqual([...answer]);
      }
      await port.close();
    });

    test('nothing within the time is undefined; writing nothing is nothing', async () => {
      const { port } = await setUp();
      await port.write(new Uint8Array(0));
      expect(await port.read(50)).toBeUndefined();
      expect(await port.read(0)).toBeUndefined();
      await port.close();
    });

    test('what arrives is told to a reader that waits', async () => {
      const { port, question, answer } = await setUp();
      const reading = port.read(TIMEOUT_MS);
      await port.write(question);
      expect((await reading)?.[0]).toBe(answer[0]);
      await port.close();
    });

    test('a port has one user, until it is closed', async () => {
      const { ports, path, port } = await setUp();
      await expect(ports.open(path)).rejects.toMatchObject({
        code: 'busy',
        place: path,
        message: expect.stringContaining('held by'),
      });
      await port.close();
      await (await ports.open(path)).close();
    });

    test('closed twice is closed; used after that is a fault of ours', async () => {
      const { port } = await setUp();
      await port.close();
      await port.close();
      await expect(port.write(Uint8Array.of(1))).rejects.toMatchObject({ code: 'internal' });
      await expect(port.read(10)).rejects.toMatchObject({ code: 'internal' });
    });

    test.each(['/dev/ttyACM250', '/dev/serial/by-id/usb-nobody-if00', '/nowhere/tty'])(
      'no port %s: no-hardware',
      async (absent) => {
        const { ports, port } = await setUp();
        await port.close();
        await expect(ports.open(absent)).rejects.toMatchObject({
          code: 'no-hardware',
          place: absent,
          message: `${absent} does not exist`,
        });
      },
    );

    test('a device that leaves is gone, for a reader that waits and for all that follow', async () => {
      const { port, pull } = await setUp();
      if (pull === undefined) {
        await port.close();
        return;
      }
      const waiting = port.read(30_000).catch((error: unknown) => error);
      await pull();
      expect(await waiting).toMatchObject({ code: 'device-gone' });
      await expect(port.read(10)).rejects.toMatchObject({ code: 'device-gone' });
      await expect(port.write(Uint8Array.of(1))).rejects.toMatchObject({ code: 'device-gone' });
      await port.close();
    });
  });
}
