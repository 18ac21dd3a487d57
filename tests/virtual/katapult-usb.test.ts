// Katapult's USB side: 64-byte packets, a receive buffer of 128, a transmit buffer of 192, and what hosts make of it
// (klipper-katapult-dfu.md section 0 items 1 and 2, section 4 "In flight [RUN]").

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ByteFault } from '../../src/virtual/byte-faults.ts';
import type { UsbFunction } from '../../src/virtual/usb-function.ts';
import {
  APP,
  ackOf,
  block,
  bytes,
  fetchAll,
  frame,
  hex,
  katapultUsb,
  send,
  VECTOR,
  type KatapultUsbRig,
} from './katapult-rig.ts';

/** One write() that a kernel makes an URB of; false while the chip holds it off a millisecond later. */
async function write(rig: KatapultUsbRig, fn: UsbFunction, data: Uint8Array | string): Promise<boolean> {
  let isTaken = false;
  void fn.pipes?.out(0x02, typeof data === 'string' ? bytes(data) : data).then(() => (isTaken = true));
  await rig.clock.sleep(1);
  return isTaken;
}

const blocks = (count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, n) => send(APP.f446 + 64 * n, block(n)));
const ack = (n: number): string => ackOf(0x12, APP.f446 + 64 * n);

describe('towards the chip', () => {
  test('a frame per write: any number is taken, and each is answered', async () => {
    const rig = katapultUsb();
    const fn = rig.plug();
    for (const [n, one] of blocks(40).entries()) {
      expect(await write(rig, fn, one)).toBe(true);
      expect(fetchAll(fn).join('')).toBe(ack(n));
    }
  });
  test('twenty frames at once, each a write of its own, are taken one after the other', async () => {
    const rig = katapultUsb();
    const fn = rig.plug();
    const writes = blocks(20).map((one) => write(rig, fn, one));
    expect(await Promise.all(writes)).not.toContain(false);
    expect(hex(rig.flash.peek(APP.f446 + 19 * 64, 64))).toBe(hex(block(19)));
  });
  test('frames in one write: five are obeyed, then neither 64 bytes are free nor a frame is whole', async () => {
    const rig = katapultUsb();
    const fn = rig.plug();
    expect(await write(rig, fn, Buffer.concat(blocks(12)))).toBe(false);
    expect(hex(rig.flash.peek(APP.f446 + 4 * 64, 64))).toBe(hex(block(4)));
    expect(hex(rig.flash.peek(APP.f446 + 5 * 64, 64))).toBe('ff'.repeat(64));
    fetchAll(fn);
    expect(await write(rig, fn, VECTOR.connect)).toBe(false);
    expect(fetchAll(fn)).toEqual([]);
  });
  test('while it erases one packet lies in the endpoint and the rest waits; nothing is lost', async () => {
    const rig = katapultUsb({ times: 'typical' });
    const fn = rig.plug();
    rig.flash.load(APP.f446, block(99));
    const [first = block(0), second = block(0)] = blocks(2);
    expect(await write(rig, fn, first)).toBe(true);
    let isTaken = false;
    void fn.pipes?.out(0x02, second).then(() => (isTaken = true));
    let isAnswered = false;
    const asked = { bmRequestType: 0xa1, bRequest: 0x21, wValue: 0, wIndex: 0, wLength: 7 };
    void fn.control(asked, new Uint8Array(0)).then(() => (isAnswered = true));
    await rig.clock.sleep(200);
    expect([isTaken, isAnswered, fetchAll(fn)]).toEqual([false, false, []]);
    await rig.clock.sleep(100);
    expect([isTaken, isAnswered, fetchAll(fn).join('')]).toEqual([true, true, ack(0) + ack(1)]);
  });
  test('a wedge lasts over a replug of the cable, and still takes what fits its buffer', async () => {
    const rig = katapultUsb();
    const first = rig.plug();
    await write(rig, first, '01881100f17d9903');
    expect(fetchAll(first)).toEqual([VECTOR.nack]);
    first.stop();
    const second = rig.plug();
    expect(await write(rig, second, VECTOR.connect)).toBe(true);
    expect(fetchAll(second)).toEqual([]);
    expect(rig.firmware.isWedged).toBe(true);
    const taken = [];
    for (let n = 0; n < 12; n++) taken.push(await write(rig, second, VECTOR.connect));
    // 8 and 8 are there; 48 more keep 64 free, one more is read, one lies in the endpoint.
    expect(taken.indexOf(false)).toBe(8);
  });
  test('after a hard fault endpoint 0 is silent, and nothing is found behind the pull-up', async () => {
    const rig = katapultUsb();
    const fn = rig.plug();
    await write(rig, fn, frame(0x14, 0x1fff_7a10));
    let isAnswered = false;
    const asked = { bmRequestType: 0x80, bRequest: 6, wValue: 0x100, wIndex: 0, wLength: 18 };
    void fn.control(asked, new Uint8Array(0)).then(() => (isAnswered = true));
    await rig.clock.sleep(1);
    expect([isAnswered, fn.isDead?.(), fetchAll(fn)]).toEqual([false, true, []]);
  });
});

describe('towards the host', () => {
  test('thirteen acknowledgements that nobody fetches are kept, the fourteenth is lost without a word', async () => {
    const rig = katapultUsb();
    const fn = rig.plug();
    for (const one of blocks(14)) await write(rig, fn, one);
    expect(fetchAll(fn).join('')).toBe(Array.from({ length: 13 }, (_, n) => ack(n)).join(''));
    expect(hex(rig.flash.peek(APP.f446 + 13 * 64, 64))).toBe(hex(block(13)));
  });
  test('of four blocks asked for at once the fourth is never sent', async () => {
    const rig = katapultUsb();
    const fn = rig.plug();
    for (let n = 0; n < 4; n++) await write(rig, fn, frame(0x14, APP.f446 + 64 * n));
    expect(
      fetchAll(fn)
        .join('')
        .match(/0188a012/g),
    ).toHaveLength(3);
  });
  test('an answer of 80 bytes comes as a full packet and a short one', async () => {
    const rig = katapultUsb();
    const fn = rig.plug();
    await write(rig, fn, VECTOR.request);
    expect(fetchAll(fn).map((packet) => packet.length / 2)).toEqual([64, 16]);
  });
  test('what the last host did not fetch is the first thing that the next one hears, but for the packet in the endpoint', async () => {
    const rig = katapultUsb();
    const first = rig.plug();
    await write(rig, first, VECTOR.request);
    first.stop();
    const second = rig.plug();
    await second.control(
      { bmRequestType: 0, bRequest: 9, wValue: 1, wIndex: 0, wLength: 0 },
      new Uint8Array(0),
    );
    await write(rig, second, VECTOR.eof);
    const [rest = '', answer] = fetchAll(second);
    expect([rest.length / 2, answer]).toEqual([16, ackOf(0x13, 0)]);
  });
});

describe('faults', () => {
  test.each<[string, ByteFault, string[]]>([
    ['lost', 'lost', []],
    ['doubled', 'doubled', [VECTOR.connectAck, VECTOR.connectAck]],
    ['cut', 'cut', []],
    ['corrupted', 'corrupted', [VECTOR.nack]],
    ['other bytes', bytes(VECTOR.eof), [ackOf(0x13, 0)]],
  ])('a write is %s', async (_name, fault, expected) => {
    const { disturbed } = await import('../../src/virtual/byte-faults.ts');
    const rig = katapultUsb({
      disturb: (direction, message) =>
        direction === 'in' || fault === 'unplug' || fault === 'power-cut'
          ? [message]
          : disturbed(fault, message),
    });
    const fn = rig.plug();
    await write(rig, fn, VECTOR.connect);
    expect(fetchAll(fn).join('')).toBe(expected.join(''));
  });
});

describe('fuzz', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.constantFrom(VECTOR.connect, VECTOR.eof, VECTOR.send, VECTOR.getId).map(bytes),
    fc.nat(200).map((n) => send(APP.f446 + 64 * n, block(n))),
    fc.constant('unplug' as const),
  );
  test('any writes: what comes out are whole frames, at most one for each that went in', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 15 }), async (pieces) => {
        const rig = katapultUsb();
        let fn = rig.plug();
        let out = '';
        let written = 0;
        for (const one of pieces) {
          if (one === 'unplug') {
            fn.stop();
            fn = rig.plug();
            continue;
          }
          written += Math.ceil(one.length / 8);
          await write(rig, fn, one);
          out += fetchAll(fn).join('');
        }
        let answers = 0;
        for (let at = 0; at < out.length; answers++) {
          expect(out.slice(at, at + 4)).toBe('0188');
          const length = 2 * (8 + 4 * Number.parseInt(out.slice(at + 6, at + 8), 16));
          expect(out.slice(at + length - 4, at + length)).toBe('9903');
          at += length;
        }
        expect(answers).toBeLessThanOrEqual(written + 1);
        rig.clock.stop();
      }),
      { numRuns: 60 },
    );
  });
});
