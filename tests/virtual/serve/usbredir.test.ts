// usbredir against usb-redirection-protocol.txt 0.7, written here as bytes.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { serveUsbredir } from '../../../src/virtual/serve/usbredir-host.ts';
import { FarEnd, hex, served, type Served } from './served.ts';

const TYPE = { deviceConnect: 1, deviceDisconnect: 2, interfaceInfo: 4, epInfo: 5, ack: 24 } as const;
/** What QEMU can: all bits from 1 to 7. */
const QEMU_CAPS = 0b1111_1110;

const le32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const hello = (caps: number): Buffer =>
  Buffer.concat([le32(0), le32(68), le32(0), Buffer.alloc(64), le32(caps)]);

interface Got {
  readonly type: number;
  readonly id: number;
  readonly body: Buffer;
}

class Guest extends FarEnd {
  ids64 = false;

  async next(): Promise<Got> {
    const head = await this.read(this.ids64 ? 16 : 12);
    const body = await this.read(head.readUInt32LE(4));
    return { type: head.readUInt32LE(0), id: head.readUInt32LE(8), body };
  }

  say(type: number, id: number, body: Uint8Array): void {
    const top = this.ids64 ? [le32(0)] : [];
    this.write(Buffer.concat([le32(type), le32(body.length), le32(id), ...top, body]));
  }
}

async function connected(
  caps = QEMU_CAPS,
  options?: Parameters<typeof served>[0],
): Promise<Served & { guest: Guest; greeting: Got[] }> {
  const one = await served(options);
  const guest = new Guest((near) => serveUsbredir(near, one.port));
  const theirs = await guest.next();
  expect([theirs.type, theirs.body.length]).toEqual([0, 68]);
  guest.write(hello(caps));
  guest.ids64 = (caps & 0x20) !== 0;
  const greeting = [await guest.next(), await guest.next(), await guest.next()];
  return { ...one, guest, greeting };
}

const bulk = (address: number, length: number): Buffer =>
  Buffer.concat([Buffer.of(address, 0, length & 0xff, length >> 8), le32(0), Buffer.of(0, 0)]);

test('a device is described, then connected: Klipper, full speed', async () => {
  const { greeting } = await connected();
  const [interfaces, endpoints, connect] = greeting;
  expect(greeting.map(({ type }) => type)).toEqual([TYPE.interfaceInfo, TYPE.epInfo, TYPE.deviceConnect]);
  expect(connect?.body).toEqual(hex('01 020000 501d 4e61 0001'));
  expect(interfaces?.body.subarray(0, 6)).toEqual(hex('02000000 0001'));
  expect([36, 68, 100].map((at) => interfaces?.body.subarray(at, at + 2).toString('hex'))).toEqual([
    '020a',
    '0200',
    '0100',
  ]);
  // Types of endpoints 0, 2 OUT; 0, 1 (interrupt), 3 IN; the rest invalid.
  expect(endpoints?.body.subarray(0, 32)).toEqual(hex(`00ff02${'ff'.repeat(13)} 0003ff02${'ff'.repeat(12)}`));
  expect(endpoints?.body[32 + 0x11]).toBe(255);
  expect(endpoints?.body[64 + 0x13]).toBe(1);
  expect(endpoints?.body.readUInt16LE(96 + 2 * 0x13)).toBe(64);
});

test('a guest of version 0.3 gets the short headers', async () => {
  const { greeting } = await connected(0);
  expect(greeting.map(({ body }) => body.length)).toEqual([132, 96, 8]);
});

test('control: the device descriptor; what the chip refuses is a stall', async () => {
  const { guest } = await connected();
  guest.say(100, 5, hex('80 06 80 00 0001 0000 1200'));
  expect(await guest.next()).toEqual({
    type: 100,
    id: 5,
    body: hex('80 06 80 00 0001 0000 1200 12010002 02000010 501d4e61 00010102 0301'),
  });
  guest.say(100, 6, hex('80 06 80 00 0006 0000 0a00'));
  expect((await guest.next()).body).toEqual(hex('80 06 80 04 0006 0000 0000'));
});

test('configuration and alternate settings have packets of their own', async () => {
  const { guest } = await connected();
  guest.say(6, 1, Buffer.of(1));
  expect((await guest.next()).type).toBe(TYPE.interfaceInfo);
  expect((await guest.next()).type).toBe(TYPE.epInfo);
  expect(await guest.next()).toEqual({ type: 8, id: 1, body: hex('0001') });
  guest.say(7, 2, Buffer.alloc(0));
  expect(await guest.next()).toEqual({ type: 8, id: 2, body: hex('0001') });
  guest.say(10, 3, Buffer.of(1));
  expect(await guest.next()).toEqual({ type: 11, id: 3, body: hex('000100') });
  // Klipper stalls SET_INTERFACE.
  guest.say(9, 4, Buffer.of(1, 0));
  expect(await guest.next()).toEqual({ type: 11, id: 4, body: hex('040100') });
});

test('bulk both ways: identify', async () => {
  const { guest } = await connected();
  guest.say(101, 10, bulk(0x83, 512));
  guest.say(101, 11, Buffer.concat([bulk(0x02, 8), hex('08100100285e9f7e')]));
  expect(await guest.next()).toEqual({ type: 101, id: 11, body: bulk(0x02, 8) });
  const answer = await guest.next();
  expect([answer.type, answer.id, answer.body.readUInt16LE(2)]).toEqual([101, 10, 48]);
  expect(answer.body.subarray(10, 15)).toEqual(hex('3011000028'));
});

test('a packet that waits is cancelled, and said so', async () => {
  const { guest } = await connected();
  guest.say(101, 10, bulk(0x83, 64));
  guest.say(21, 10, Buffer.alloc(0));
  const { id, body } = await guest.next();
  expect([id, body[1], body.readUInt16LE(2)]).toEqual([10, 1, 0]);
  guest.say(21, 10, Buffer.alloc(0));
  expect(await guest.rest()).toHaveLength(0);
});

test('interrupts are asked for, and told to be', async () => {
  const { guest } = await connected();
  guest.say(15, 1, Buffer.of(0x81));
  expect(await guest.next()).toEqual({ type: 17, id: 1, body: hex('0081') });
  guest.say(16, 2, Buffer.of(0x81));
  expect(await guest.next()).toEqual({ type: 17, id: 2, body: hex('0081') });
});

test('one channel, one device after the other: disconnect, acknowledged, then the ROM', async () => {
  const { bench, guest } = await connected();
  guest.say(101, 10, bulk(0x83, 64));
  bench.lines.drive('boot0', 'high');
  bench.lines.drive('nrst', 'low');
  await bench.clock.sleep(100);
  expect((await guest.next()).type).toBe(TYPE.deviceDisconnect);
  bench.lines.drive('nrst', 'floating');
  await bench.clock.sleep(1000);
  // Until the guest has said that it knows, the next device is held back.
  expect(await guest.rest()).toHaveLength(0);
  guest.say(101, 12, bulk(0x83, 64));
  guest.say(TYPE.ack, 0, Buffer.alloc(0));
  const again = [await guest.next(), await guest.next(), await guest.next()];
  expect(again.map(({ type }) => type)).toEqual([TYPE.interfaceInfo, TYPE.epInfo, TYPE.deviceConnect]);
  expect(again[2]?.body).toEqual(hex('01 000000 8304 11df 0022'));
  expect(again[0]?.body.subarray(0, 5)).toEqual(hex('01000000 00'));
});

test('a second guest waits until the first has gone', async () => {
  const { guest, port } = await connected();
  const second = new Guest((near) => serveUsbredir(near, port));
  await second.next();
  second.write(hello(0));
  expect(await second.rest()).toHaveLength(0);
  await guest.hangUp();
  expect((await second.next()).type).toBe(TYPE.interfaceInfo);
});

test('whatever comes in, nothing is thrown and nothing hangs', async () => {
  const { bench, port } = await served();
  const types = [0, 3, 6, 7, 9, 10, 15, 16, 18, 21, 22, 24, 25, 100, 101, 102, 103, 104, 5];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(undefined, 0, QEMU_CAPS),
      fc.array(
        fc.oneof(
          fc.record({ raw: fc.uint8Array({ maxLength: 60 }) }),
          fc.record({
            type: fc.constantFrom(...types),
            id: fc.nat(3),
            body: fc.uint8Array({ maxLength: 30 }),
          }),
        ),
        { maxLength: 10 },
      ),
      async (caps, pieces) => {
        const guest = new Guest((near) => serveUsbredir(near, port));
        if (caps !== undefined) guest.write(hello(caps));
        guest.ids64 = caps === QEMU_CAPS;
        for (const piece of pieces) {
          if ('raw' in piece) guest.write(piece.raw);
          else guest.say(piece.type, piece.id, piece.body);
        }
        await guest.rest();
        await guest.hangUp();
        const after = new Guest((near) => serveUsbredir(near, port));
        await after.next();
        after.write(hello(0));
        expect((await after.next()).type).toBe(TYPE.interfaceInfo);
        await after.hangUp();
      },
    ),
    { numRuns: 200 },
  );
  expect(bench.electricalFaults).toEqual([]);
});
