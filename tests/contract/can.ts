// Contract: what every CanHost keeps to. A function, so that it also runs where a real interface (vcan) can be made.
import { afterEach, describe, expect, test } from '@jest/globals';
import type { CanBus, CanFrame, CanHost } from '../../src/ports/can.ts';

export interface CanRig {
  readonly host: CanHost;
  /** An interface that is up, with somebody on its bus who acknowledges. */
  readonly up: string;
  /** One that is there and down. */
  readonly down: string;
  /** Resolves when what was sent before has arrived everywhere. */
  settle(): Promise<void>;
  dispose(): Promise<void>;
}

export function canContract(name: string, make: () => Promise<CanRig>): void {
  describe(`CanHost: ${name}`, () => {
    const rigs: CanRig[] = [];
    afterEach(async () => {
      for (const rig of rigs.splice(0)) await rig.dispose();
    });
    const setUp = async () => {
      const rig = await make();
      rigs.push(rig);
      return rig;
    };
    const listenTo = (bus: CanBus) => {
      const heard: CanFrame[] = [];
      return { heard, stop: bus.onFrame((frame) => heard.push(frame)) };
    };
    const frame = (id: number, ...bytes: number[]): CanFrame => ({ id, data: Uint8Array.from(bytes) });

    test.each(['octabsent9', 'a-name-of-16-chr', '../can0', 'can 0', ''])(
      'no interface "%s": no-hardware',
      async (absent) => {
        const { host } = await setUp();
        await expect(host.open(absent)).rejects.toMatchObject({ code: 'no-hardware', place: absent });
      },
    );

    test('an interface that is down is told apart, with the cure', async () => {
      const { host, down } = await setUp();
      await expect(host.open(down)).rejects.toMatchObject({
        code: 'no-hardware',
        message: expect.stringContaining('down'),
        advice: expect.stringContaining(`ip link set ${down} up`),
      });
    });

    test('others hear what is sent, whole and in order; the sender does not', async () => {
      const rig = await setUp();
      const [one, two] = [await rig.host.open(rig.up), await rig.host.open(rig.up)];
      const [own, other] = [listenTo(one), listenTo(two)];
      const sent = [frame(0x7ff, 1, 2, 3, 4, 5, 6, 7, 255), frame(0x123, 0), frame(1)];
      for (const each of sent) expect(await one.send(each)).toBe('queued');
      await rig.settle();
      expect(other.heard.map(({ id, data }) => [id, [...data]])).toEqual(
        sent.map(({ id, data }) => [id, [...data]]),
      );
      expect(own.heard).toEqual([]);
    });

    test('bytes are copies', async () => {
      const rig = await setUp();
      const [one, two] = [await rig.host.open(rig.up), await rig.host.open(rig.up)];
      const other = listenTo(two);
      const mine = Uint8Array.of(1, 2);
      const sending = one.send({ id: 5, data: mine });
      mine.fill(9);
      await sending;
      await rig.settle();
      expect([...(other.heard[0]?.data ?? [])]).toEqual([1, 2]);
    });

    test('who has stopped listening, or closed, hears nothing', async () => {
      const rig = await setUp();
      const [one, two, three] = [
        await rig.host.open(rig.up),
        await rig.host.open(rig.up),
        await rig.host.open(rig.up),
      ];
      const [stopped, closed] = [listenTo(two), listenTo(three)];
      stopped.stop();
      two.onTrouble(() => {})();
      await three.close();
      await three.close();
      await one.send(frame(5, 1));
      await rig.settle();
      expect([stopped.heard, closed.heard]).toEqual([[], []]);
      await expect(three.send(frame(5, 1))).rejects.toMatchObject({ code: 'internal' });
    });

    test.each([
      ['an id of 12 bits', 0x800, 0],
      ['a negative id', -1, 0],
      ['nine bytes', 1, 9],
    ])('%s is no frame', async (_what, id, length) => {
      const rig = await setUp();
      const bus = await rig.host.open(rig.up);
      await expect(bus.send({ id, data: new Uint8Array(length) })).rejects.toMatchObject({
        code: 'internal',
      });
    });
  });
}
