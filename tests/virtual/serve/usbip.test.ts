// USB/IP against the tables of linux Documentation/usb/usbip_protocol.rst, written here as bytes.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { permanentPort } from '../../../src/virtual/serve/port.ts';
import { serveUsbip } from '../../../src/virtual/serve/usbip-server.ts';
import { createViperboard } from '../../../src/virtual/serve/viperboard.ts';
import { FarEnd, hex, served, type Served } from './served.ts';

const DEVLIST = hex('0111 8005 00000000');
const importOf = (busId: string): Buffer =>
  Buffer.concat([hex('0111 8003 00000000'), Buffer.from(busId.padEnd(32, '\0'))]);
const word = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
/** USBIP_CMD_SUBMIT; `setup` and `data` as hex. */
const submit = (seqnum: number, isIn: boolean, ep: number, length: number, setup = '', data = ''): Buffer =>
  hex(
    `00000001 ${word(seqnum)} 00010003 ${word(isIn ? 1 : 0)} ${word(ep)} 00000000 ${word(length)} 00000000 ffffffff 00000000 ${setup.padEnd(16, '0')} ${data}`,
  );
const unlink = (seqnum: number, victim: number): Buffer =>
  hex(`00000002 ${word(seqnum)} 00010003 00000000 00000000 ${word(victim)} ${'00'.repeat(24)}`);
const GET_DEVICE = '8006000100001200';

async function imported(options?: Parameters<typeof served>[0]): Promise<Served & { far: FarEnd }> {
  const one = await served(options);
  const far = new FarEnd((near) => serveUsbip(near, [one.port]));
  far.write(importOf('1-1.2'));
  expect((await far.read(320)).subarray(0, 8)).toEqual(hex('0111 0003 00000000'));
  return { ...one, far };
}

test('the list has the board and the expander, then the connection ends', async () => {
  const { port } = await served();
  const expander = await permanentPort('9-1', createViperboard([]));
  const lister = new FarEnd((near) => serveUsbip(near, [port, expander]));
  // In pieces, as TCP may bring it.
  for (const byte of DEVLIST) lister.write(Uint8Array.of(byte));
  const list = await lister.rest();
  expect(list.subarray(0, 12)).toEqual(hex('0111 0005 00000000 00000002'));
  expect(list.length).toBe(12 + 2 * 312 + 3 * 4);
  const first = list.subarray(12);
  expect(first.toString('latin1', 256, 262)).toBe('1-1.2\0');
  // busnum, devnum, full speed; vendor, product, version; class 2/0/0, configuration 1 of 1, 2 interfaces.
  expect(first.subarray(288, 312)).toEqual(hex('00000001 00000003 00000002 1d50 614e 0100 020000 01 01 02'));
  expect(first.subarray(312, 320)).toEqual(hex('02020100 0a000000'));
  expect(first.toString('latin1', 320 + 256, 320 + 260)).toBe('9-1\0');
  expect(lister.stream.readableEnded).toBe(true);
});

test('an import, and the device descriptor through endpoint 0', async () => {
  const { far } = await imported();
  far.write(submit(0xd05, true, 0, 18, GET_DEVICE));
  expect(await far.read(48 + 18)).toEqual(
    hex(
      '00000003 00000d05 00000000 00000000 00000000 00000000 00000012 00000000 ffffffff 00000000 00000000 00000000' +
        '12010002 02000010 501d4e61 00010102 0301',
    ),
  );
});

test('a refused request is -EPIPE', async () => {
  const { far } = await imported();
  // SET_INTERFACE: Klipper stalls it.
  far.write(submit(7, false, 0, 0, '010b000000000000'));
  expect((await far.read(48)).subarray(0, 28)).toEqual(
    hex('00000003 00000007 00000000 00000000 00000000 ffffffe0 00000000'),
  );
});

test('a second kernel is told that the device is busy, and none that it is away', async () => {
  const { bench, port, far } = await imported();
  const second = new FarEnd((near) => serveUsbip(near, [port]));
  second.write(importOf('1-1.2'));
  expect(await second.rest()).toEqual(hex('0111 0003 00000002'));
  await far.hangUp();
  const third = new FarEnd((near) => serveUsbip(near, [port]));
  third.write(importOf('1-1.2'));
  expect((await third.read(8)).readUInt32BE(4)).toBe(0);
  bench.unplug();
  await bench.clock.sleep(1000);
  const fourth = new FarEnd((near) => serveUsbip(near, [port]));
  fourth.write(importOf('1-1.2'));
  expect(await fourth.rest()).toEqual(hex('0111 0003 00000004'));
});

test('a transfer that waits is unlinked with -ECONNRESET and never answered; one that is over with 0', async () => {
  const { far } = await imported();
  far.write(submit(20, true, 3, 128));
  far.write(unlink(21, 20));
  expect((await far.read(48)).subarray(0, 24)).toEqual(
    hex('00000004 00000015 00000000 00000000 00000000 ffffff98'),
  );
  far.write(unlink(22, 20));
  expect((await far.read(48)).subarray(0, 24)).toEqual(
    hex('00000004 00000016 00000000 00000000 00000000 00000000'),
  );
  expect(await far.rest()).toHaveLength(0);
});

test('when the board leaves the bus the connection ends, and the next import finds the ROM', async () => {
  const { bench, port, far } = await imported();
  far.write(submit(1, true, 3, 128));
  bench.lines.drive('boot0', 'high');
  bench.lines.drive('nrst', 'low');
  await bench.clock.sleep(500);
  expect(far.isClosed).toBe(true);
  expect(await far.rest()).toHaveLength(0);
  bench.lines.drive('nrst', 'floating');
  await bench.clock.sleep(500);
  const next = new FarEnd((near) => serveUsbip(near, [port]));
  next.write(importOf('1-1.2'));
  expect((await next.read(320)).subarray(308, 320)).toEqual(hex('0483 df11 2200 000000 01 01 01'));
});

test('Klipper answers identify through the bulk endpoints', async () => {
  const { far } = await imported();
  far.write(submit(1, true, 3, 128));
  // The block of klipper.test.ts: identify offset 0 count 40.
  far.write(submit(2, false, 2, 8, '', '08100100285e9f7e'));
  expect((await far.read(48)).readUInt32BE(4)).toBe(2);
  const answer = await far.read(48 + 48);
  expect([answer.readUInt32BE(4), answer.readUInt32BE(0x18)]).toEqual([1, 48]);
  expect(answer.subarray(48, 53)).toEqual(hex('3011000028'));
});

test('whatever comes in, nothing is thrown and nothing hangs', async () => {
  const { port, bench } = await served();
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(
        fc.oneof(
          fc.uint8Array({ maxLength: 100 }),
          fc.constantFrom(submit(1, true, 0, 18, GET_DEVICE), unlink(3, 1), submit(2, true, 3, 64)),
          fc
            .tuple(fc.nat(4), fc.nat(20), fc.integer(), fc.uint8Array({ minLength: 8, maxLength: 8 }))
            .map(([command, ep, length, setup]) => {
              const bytes = submit(9, (length & 1) === 1, ep, length, Buffer.from(setup).toString('hex'));
              bytes.writeUInt32BE(command, 0);
              return bytes;
            }),
        ),
        { maxLength: 8 },
      ),
      async (isImported, pieces) => {
        const far = new FarEnd((near) => serveUsbip(near, [port]));
        if (isImported) far.write(importOf('1-1.2'));
        for (const piece of pieces) far.write(piece);
        await far.rest();
        await far.hangUp();
        // The next one still gets its answer.
        const after = new FarEnd((near) => serveUsbip(near, [port]));
        after.write(DEVLIST);
        expect((await after.rest()).readUInt32BE(8)).toBe(1);
      },
    ),
    { numRuns: 200 },
  );
  expect(bench.electricalFaults).toEqual([]);
});
