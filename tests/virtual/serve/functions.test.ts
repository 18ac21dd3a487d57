// The USB functions below the protocols: CDC-ACM, gs_usb and the expander, by their requests and endpoints.
import { expect, test } from '@jest/globals';
import type { CanFrame } from '../../../src/ports/can.ts';
import type { DeviceEvents } from '../../../src/virtual/can-device.ts';
import { VirtualClock } from '../../../src/virtual/clock.ts';
import { createBridgeUsb, klipperFacts } from '../../../src/virtual/klipper-app.ts';
import { BoardLines } from '../../../src/virtual/lines.ts';
import { parseConfiguration, readConfiguration } from '../../../src/virtual/serve/configuration.ts';
import { Urbs, type UrbResult } from '../../../src/virtual/serve/urbs.ts';
import { createViperboard } from '../../../src/virtual/serve/viperboard.ts';
import { CdcFunction } from '../../../src/virtual/usb-cdc.ts';
import type { UsbFunction } from '../../../src/virtual/usb-function.ts';
import { APP, block, katapultUsb, send, VECTOR } from '../katapult-rig.ts';
import { hex } from './served.ts';

const NOTHING = new Uint8Array(0);

/** Eight bytes as on the wire, with the data stage. */
async function ask(fn: Pick<UsbFunction, 'control'>, packet: string, data = ''): Promise<string> {
  const bytes = hex(packet);
  const setup = {
    bmRequestType: bytes.readUInt8(0),
    bRequest: bytes.readUInt8(1),
    wValue: bytes.readUInt16LE(2),
    wIndex: bytes.readUInt16LE(4),
    wLength: bytes.readUInt16LE(6),
  };
  const answer = await fn.control(setup, hex(data));
  return answer === 'stall' ? answer : Buffer.from(answer).toString('hex');
}

test('Klipper and Katapult: line coding and control lines are kept, and seen by the board', async () => {
  const katapult = katapultUsb().plug();
  expect(await ask(katapult, 'a121 0000 0000 0700')).toBe('00000000000000');
  // 1200 baud, 8N1; DTR and RTS, then DTR dropped.
  expect(await ask(katapult, '2120 0000 0000 0700', 'b0040000000008')).toBe('');
  expect(await ask(katapult, 'a121 0000 0000 0700')).toBe('b0040000000008');
  expect(await ask(katapult, '2122 0300 0000 0000')).toBe('');
  expect(katapult.serialLine?.()).toEqual({ baud: 1200, dtr: true, rts: true });
  await ask(katapult, '2122 0200 0000 0000');
  expect(katapult.serialLine?.()).toEqual({ baud: 1200, dtr: false, rts: true });
});

test('Klipper refuses what its firmware has no answer for', async () => {
  const katapult = katapultUsb().plug();
  // GET_STATUS, SET_INTERFACE, configuration 2, a German string, SEND_BREAK, a short line coding.
  for (const packet of [
    '8000 0000 0000 0200',
    '010b 0000 0100 0000',
    '0009 0200 0000 0000',
    '8006 0103 0704 ff00',
    '2123 ffff 0000 0000',
    '2120 0000 0000 0600',
  ])
    expect([packet, await ask(katapult, packet, packet.startsWith('2120') ? '000000000000' : '')]).toEqual([
      packet,
      'stall',
    ]);
  const manufacturer = Buffer.from('katapult', 'utf16le').toString('hex');
  expect(await ask(katapult, '8006 0103 0904 ff00')).toBe(`1203${manufacturer}`);
});

test('a message goes out in packets of 64; without room for all of it nothing is sent', () => {
  const cdc = new CdcFunction(klipperFacts('stm32f446xx', 'aa'), { receive: () => {} });
  let told = 0;
  cdc.pipes.onReady(() => told++);
  cdc.send(new Uint8Array(100).fill(1));
  cdc.send(new Uint8Array(100).fill(2));
  // 136 bytes wait behind the packet in the endpoint: 56 more fit, 57 do not.
  cdc.send(new Uint8Array(57).fill(3));
  cdc.send(new Uint8Array(56).fill(4));
  const sizes: number[] = [];
  for (let packet = cdc.pipes.take(0x83); packet !== undefined; packet = cdc.pipes.take(0x83))
    sizes.push(packet.length);
  expect(sizes).toEqual([64, 64, 64, 64]);
  expect(told).toBe(4);
  expect(cdc.pipes.take(0x81)).toBeUndefined();
});

const FRAME_123 = '07000000 23010000 03 00 00 00 aabbcc0000000000';

function bridge(take: (frame: CanFrame) => boolean = () => true) {
  const clock = new VirtualClock();
  const fn = createBridgeUsb(clock, 'stm32f446xx', 'aa');
  let events: DeviceEvents | undefined;
  const sent: CanFrame[] = [];
  fn.joinCan?.((given) => {
    events = given;
    return {
      send: (frame) => {
        if (!take(frame)) return false;
        sent.push(frame);
        given.echo(frame);
        return true;
      },
      leave: () => {},
    };
  });
  const next = (): string | undefined => {
    const packet = fn.pipes?.take(0x83);
    return packet === undefined ? undefined : Buffer.from(packet).toString('hex');
  };
  return { fn, clock, sent, next, events };
}

test('gs_usb: what the driver asks before there is a can0', async () => {
  const { fn } = bridge();
  expect(await ask(fn, '4100 0100 0000 0400', 'efbe0000')).toBe('');
  expect(await ask(fn, 'c105 0100 0000 0c00')).toBe('000000000200000001000000');
  expect(await ask(fn, 'c104 0000 0000 2800')).toBe(
    hex('00000000 006cdc02 01000000 10000000 01000000 08000000 04000000 01000000 00040000 01000000').toString(
      'hex',
    ),
  );
  expect(await ask(fn, '4101 0000 0000 1400', '00'.repeat(20))).toBe('');
  expect(await ask(fn, '4102 0000 0000 0800', '0100000000000000')).toBe('');
  // No bit error reporting, no time stamps, no identify, and no mode of another length.
  for (const packet of ['c106 0000 0000 0400', '4107 0000 0000 0400', 'c10b 0000 0000 4800'])
    expect(await ask(fn, packet, packet.startsWith('41') ? '01000000' : '')).toBe('stall');
  expect(await ask(fn, '4102 0000 0000 0400', '01000000')).toBe('stall');
});

test('gs_usb: a frame comes back with its echo id, a frame of the bus with none', async () => {
  const { fn, sent, next, events } = bridge();
  expect(await fn.pipes?.out(0x02, hex(FRAME_123))).toBe('ok');
  expect(sent).toEqual([{ id: 0x123, data: Uint8Array.of(0xaa, 0xbb, 0xcc) }]);
  expect(next()).toBe(hex(FRAME_123).toString('hex'));
  events?.frame({ id: 0x3f1, data: Uint8Array.of(0x20, 1) });
  expect(next()).toBe(hex('ffffffff f1030000 02 00 00 00 2001000000000000').toString('hex'));
  expect(next()).toBeUndefined();
  // Extended identifiers are beyond the virtual wire: echoed, so that the driver goes on, and not sent.
  const extended = hex('08000000 23010080 00 00 00 00 0000000000000000');
  await fn.pipes?.out(0x02, extended);
  expect([next(), sent.length]).toEqual([extended.toString('hex'), 1]);
  expect(await fn.pipes?.out(0x05, hex(FRAME_123))).toBe('stall');
});

test('gs_usb: a full bridge holds the host off, and drops what nobody fetches', async () => {
  let isFull = true;
  const { fn, clock, events, next } = bridge(() => !isFull);
  let isTaken = false;
  const taken = fn.pipes?.out(0x02, hex(FRAME_123)).then(() => (isTaken = true));
  await clock.sleep(50);
  expect(isTaken).toBe(false);
  isFull = false;
  await taken;
  next();
  for (let n = 0; n < 40; n++) events?.frame({ id: n, data: NOTHING });
  let waiting = 0;
  while (next() !== undefined) waiting++;
  expect(waiting).toBe(32);
});

test('the expander: levels, a floating input, and what must never be', async () => {
  const clock = new VirtualClock();
  const lines = new BoardLines(clock);
  lines.power(true);
  await clock.sleep(100);
  const pins = [lines.settings.boot0Pin, lines.settings.nrstPin].map((pin) => ({
    drive: (drive: 'high' | 'low' | 'floating') => lines.drivePin(pin, drive),
    level: () => lines.pinLevel(pin),
  }));
  const expander = createViperboard(pins);
  const message = (command: number, line: number, value = 0): string =>
    Buffer.of(command, 0, line, 0, 0, 0, 0, value, 0, 0, 0).toString('hex');
  const level = async (line: number): Promise<string> => {
    await ask(expander, '40ed 0000 0000 0b00', message(6, line));
    return (await ask(expander, 'c0ed 0000 0000 0b00')).slice(18, 20);
  };
  expect([await ask(expander, 'c0ea 0000 0000 0100'), await ask(expander, 'c0eb 0000 0000 0100')]).toEqual([
    '01',
    '00',
  ]);
  expect([await level(0), await level(1)]).toEqual(['00', '01']);
  await ask(expander, '40ed 0000 0000 0b00', message(3, 0, 1));
  await ask(expander, '40ed 0000 0000 0b00', message(3, 1, 0));
  expect([await level(0), await level(1), lines.faults]).toEqual(['01', '00', []]);
  await ask(expander, '40ed 0000 0000 0b00', message(4, 1));
  await clock.sleep(100);
  expect([lines.pinDrive('gpio19'), await level(1)]).toEqual(['floating', '01']);
  await ask(expander, '40ed 0000 0000 0b00', message(3, 1, 1));
  await ask(expander, '40ed 0000 0000 0b00', message(3, 0, 0));
  expect(new Set(lines.faults.map(({ what }) => what))).toEqual(
    new Set(['nrst-driven-high', 'boot0-driven-low']),
  );
  // A line with nothing on it, and chip b, which reads what it drives.
  expect(await ask(expander, '40ed 0000 0000 0b00', message(3, 9, 1))).toBe('');
  await ask(expander, '40dd 0000 0000 0500', '0001000100');
  await ask(expander, '40dd 0000 0000 0500', '0101000100');
  expect(await ask(expander, 'c0dd 0000 0000 0500')).toBe('0001000000');
  expect(await ask(expander, '40ed 0000 0000 0b00', '00'.repeat(10))).toBe('stall');
});

test('a device that leaves ends what is under way, and its last stall is not heard', async () => {
  let isOnWire = true;
  let answer: (stall: 'stall') => void = () => {};
  const fn: UsbFunction = {
    deviceDescriptor: NOTHING,
    strings: new Map(),
    control: () => new Promise((resolve) => (answer = resolve)),
    stop: () => {},
  };
  const urbs = new Urbs(fn, () => isOnWire);
  const results: UrbResult['status'][] = [];
  const setup = { bmRequestType: 0x80, bRequest: 6, wValue: 0x100, wIndex: 0, wLength: 18 };
  urbs.submit({ address: 0x80, setup, data: NOTHING, length: 18 }, ({ status }) => results.push(status));
  await new Promise((resolve) => setImmediate(resolve));
  isOnWire = false;
  answer('stall');
  await new Promise((resolve) => setImmediate(resolve));
  expect(results).toEqual([]);
  urbs.close();
  urbs.submit({ address: 0x80, setup, data: NOTHING, length: 18 }, ({ status }) => results.push(status));
  expect(results).toEqual(['gone', 'gone']);
});

test('an answer of two packets comes in their order, in one transfer that has room for both', async () => {
  const rig = katapultUsb();
  const urbs = new Urbs(rig.plug(), () => true);
  const results: UrbResult[] = [];
  urbs.submit({ address: 0x83, data: NOTHING, length: 128 }, (result) => results.push(result));
  urbs.submit({ address: 0x02, data: hex(VECTOR.request), length: 0 }, () => {});
  await rig.clock.sleep(1);
  expect(results.map(({ bytes }) => bytes.length)).toEqual([80]);
  expect(Buffer.from(results[0]?.bytes ?? []).toString('hex')).toMatch(/^0188a01214000000.*9903$/);
});

test('a transfer to the chip called off in its middle: the rest of its packets never come', async () => {
  const rig = katapultUsb({ times: 'typical' });
  rig.flash.load(APP.f446, block(9));
  const urbs = new Urbs(rig.plug(), () => true);
  urbs.submit({ address: 0x02, data: send(APP.f446, block(0)), length: 0 }, () => {});
  const cancel = urbs.submit({ address: 0x02, data: send(APP.f446 + 64, block(1)), length: 0 }, () => {});
  await rig.clock.sleep(10);
  expect(cancel()).toBe(true);
  await rig.clock.sleep(1000);
  expect(rig.flash.peek(APP.f446, 64)).toEqual(block(0));
  expect(rig.flash.peek(APP.f446 + 64, 64)).toEqual(new Uint8Array(64).fill(0xff));
});

test('a transfer called off before its turn never reaches the chip', async () => {
  let asked = 0;
  const finish: (() => void)[] = [];
  const fn: UsbFunction = {
    deviceDescriptor: NOTHING,
    strings: new Map(),
    control: () => {
      asked++;
      return new Promise((resolve) => finish.push(() => resolve(NOTHING)));
    },
    stop: () => {},
  };
  const urbs = new Urbs(fn, () => true);
  const setup = { bmRequestType: 0, bRequest: 9, wValue: 1, wIndex: 0, wLength: 0 };
  const urb = { address: 0, setup, data: NOTHING, length: 0 };
  const done: number[] = [];
  urbs.submit(urb, () => done.push(1));
  const cancel = urbs.submit(urb, () => done.push(2));
  urbs.submit(urb, () => done.push(3));
  expect(cancel()).toBe(true);
  for (let n = 0; n < 3; n++) {
    await new Promise((resolve) => setImmediate(resolve));
    finish[n]?.();
  }
  await new Promise((resolve) => setImmediate(resolve));
  expect([asked, done]).toEqual([2, [1, 3]]);
});

test('a configuration of alternate settings is summed up by its first; garbage ends', async () => {
  const settings = hex('0902240001010000 32 0904000000fe010204 0904000100fe010205 0705010240 0000');
  expect(parseConfiguration(settings)).toEqual([{ number: 0, kind: [0xfe, 1, 2], endpoints: [] }]);
  expect(parseConfiguration(new Uint8Array(300))).toEqual([]);
  const summary = await readConfiguration(createBridgeUsb(new VirtualClock(), 'stm32f446xx', 'aa'));
  expect(summary[0]?.endpoints.map(({ address, type, packetBytes }) => [address, type, packetBytes])).toEqual(
    [
      [0x02, 2, 64],
      [0x83, 2, 64],
    ],
  );
});
