// The virtual Katapult against byte strings of real runs (klipper-katapult-dfu.md section 4) and its sources' rules.

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { KIND_KATAPULT } from '../../src/virtual/katapult/settings.ts';
import { APP, ackOf, block, bytes, frame, hex, katapultRig, send, VECTOR } from './katapult-rig.ts';

const BLANK = new Uint8Array(64).fill(0xff);

describe('frames of real runs', () => {
  test('CONNECT, with the five NULs between the chip and the version', async () => {
    expect(await katapultRig().feed(VECTOR.connect)).toEqual([VECTOR.connectAck]);
    expect(bytes(VECTOR.connectAck)).toHaveLength(60);
  });
  test('SEND_BLOCK is written, acknowledged, and reads back', async () => {
    const rig = katapultRig();
    expect(await rig.feed(VECTOR.send)).toEqual([VECTOR.sendAck]);
    expect(rig.flash.peek(APP.f446, 64)).toEqual(Uint8Array.from({ length: 64 }, (_, n) => n));
    const [reply = ''] = await rig.feed(VECTOR.request);
    expect(reply).toMatch(/^0188a01214000000008000080001020304/);
    expect(bytes(reply)).toHaveLength(80);
    expect(reply).toBe(hex(frame(0xa0, 0x14, APP.f446, rig.flash.peek(APP.f446, 64))));
  });
  test('SEND_EOF counts pages, COMPLETE answers', async () => {
    const rig = katapultRig();
    expect(await rig.feed(VECTOR.eof)).toEqual([ackOf(0x13, 0)]);
    await rig.feed(VECTOR.send);
    expect(await rig.feed(VECTOR.eof)).toEqual([ackOf(0x13, 1)]);
    expect(await rig.feed(VECTOR.complete)).toEqual([ackOf(0x15)]);
  });
  test('GET_CANBUS_ID is an error in a USB build and the uuid in a CAN build', async () => {
    expect(await katapultRig().feed(VECTOR.getId)).toEqual([VECTOR.error]);
    expect(await katapultRig({ canUuid: 'ac11f42fe5aa' }).feed(VECTOR.getId)).toEqual([VECTOR.getIdAck]);
  });
  test('protocol 1.0 names no version and has no NULs but those of the last word', async () => {
    const rig = katapultRig({ protocol: '1.0' });
    const mcu = bytes(`${Buffer.from('stm32f446xx').toString('hex')}00`);
    expect(await rig.feed(VECTOR.connect)).toEqual([hex(frame(0xa0, 0x11, 0x0001_0000, APP.f446, 64, mcu))]);
  });
  test('an unknown command is an error', async () => {
    expect(await katapultRig().feed(frame(0x90))).toEqual([VECTOR.error]);
  });
});

describe('the receiver', () => {
  test('a bad CRC: one NACK, then nothing ever again, whatever comes', async () => {
    const rig = katapultRig();
    expect(await rig.feed('01881100f17d9903')).toEqual([VECTOR.nack]);
    for (const next of [VECTOR.connect, VECTOR.send, VECTOR.connect])
      expect(await rig.feed(next)).toEqual([]);
    expect(rig.firmware.isWedged).toBe(true);
    expect(rig.waiting()).toBe(8 + 8 + 76 + 8);
  });
  test('a lone 01: NACK as soon as eight bytes are there, then dead', async () => {
    const rig = katapultRig();
    expect(await rig.feed('01')).toEqual([]);
    expect(await rig.feed(VECTOR.connect)).toEqual([VECTOR.nack]);
    expect(await rig.feed(VECTOR.connect)).toEqual([]);
  });
  test('a truncated SEND_BLOCK takes the next frames into itself: NACK at most, then silence', async () => {
    const rig = katapultRig();
    expect(await rig.feed(VECTOR.send.slice(0, 40))).toEqual([]);
    expect(await rig.feed(VECTOR.connect)).toEqual([]);
    const rest = (await rig.feed(VECTOR.connect.repeat(7))).filter((answer) => answer !== VECTOR.nack);
    expect(rest).toEqual([]);
    expect(await rig.feed(VECTOR.connect)).toEqual([]);
  });
  test('garbage without 01 is survived: NACK, then the answer', async () => {
    const rig = katapultRig();
    expect(await rig.feed(Uint8Array.from(Buffer.from('AT\r')))).toEqual([]);
    expect(await rig.feed(VECTOR.connect)).toEqual([VECTOR.nack, VECTOR.connectAck]);
    // Each disturbance has its own NACK once a whole frame has come.
    expect(await rig.feed(Uint8Array.from(Buffer.from('AT\rAT\rAT\r')))).toEqual([VECTOR.nack]);
    expect(await rig.feed('0d0d0d0d0d0d0d0d')).toEqual([]);
    expect(await rig.feed(VECTOR.connect)).toEqual([VECTOR.connectAck]);
  });
  test('30 words are the most, 31 are refused before they have come', async () => {
    const rig = katapultRig();
    expect(await rig.feed(frame(0x90, new Uint8Array(120)))).toEqual([VECTOR.error]);
    expect(await rig.feed('0188901f00000000')).toEqual([VECTOR.nack]);
  });
  test.each([
    ['the first trailer byte', '01881100f17c9803'],
    ['the last trailer byte', '01881100f17c9904'],
    ['the second header byte', '01891100f17c9903'],
  ])('%s is looked at', async (_what, wrong) => {
    expect(await katapultRig().feed(wrong)).toEqual([VECTOR.nack]);
  });
  test('many frames in one buffer are all answered', async () => {
    const rig = katapultRig();
    expect(await rig.feed(VECTOR.connect + VECTOR.getId)).toEqual([VECTOR.connectAck, VECTOR.error]);
  });
});

describe('writing', () => {
  test('below the application nothing is written', async () => {
    const rig = katapultRig();
    expect(await rig.feed(send(APP.f446 - 64, block(1)))).toEqual([VECTOR.error]);
    expect(rig.flash.statistics.bytesProgrammed).toBe(0);
  });
  test('an address that is no multiple of 64, or another number of words, is an error', async () => {
    const rig = katapultRig();
    expect(await rig.feed(send(APP.f446 + 32, block(1)))).toEqual([VECTOR.error]);
    expect(await rig.feed(frame(0x12, APP.f446, block(1).slice(0, 60)))).toEqual([VECTOR.error]);
    expect(await rig.feed(frame(0x12, APP.f446, block(1), 0))).toEqual([VECTOR.error]);
    expect(rig.flash.statistics.bytesProgrammed).toBe(0);
  });
  test('the first block of a page erases the page, all of it', async () => {
    const rig = katapultRig();
    rig.flash.load(APP.f446 + 0x3fc0, block(9));
    rig.flash.load(APP.f446 + 0x4000, block(9));
    expect(await rig.feed(send(APP.f446, block(1)))).toEqual([ackOf(0x12, APP.f446)]);
    expect(rig.flash.peek(APP.f446 + 0x3fc0, 64)).toEqual(BLANK);
    expect(rig.flash.peek(APP.f446 + 0x4000, 64)).toEqual(block(9));
    expect([...rig.flash.statistics.erases]).toEqual([[APP.f446, 1]]);
  });
  test('a blank page is not erased, and counts as begun', async () => {
    const rig = katapultRig();
    await rig.feed(send(APP.f446, block(1)));
    expect(rig.flash.statistics.erases.size).toBe(0);
    expect(await rig.feed(VECTOR.eof)).toEqual([ackOf(0x13, 1)]);
  });
  test('the first block again is a retransmission while nothing lies behind it, and an erase once something does', async () => {
    const rig = katapultRig();
    await rig.feed(send(APP.f446, block(1)));
    expect(await rig.feed(send(APP.f446, block(1)))).toEqual([ackOf(0x12, APP.f446)]);
    expect(rig.flash.statistics.erases.size).toBe(0);
    await rig.feed(send(APP.f446 + 64, block(2)));
    expect(await rig.feed(send(APP.f446, block(1)))).toEqual([ackOf(0x12, APP.f446)]);
    expect(rig.flash.statistics.erases.get(APP.f446)).toBe(1);
    expect(rig.flash.peek(APP.f446 + 64, 64)).toEqual(BLANK);
    expect(await rig.feed(VECTOR.eof)).toEqual([ackOf(0x13, 2)]);
  });
  test('another block may come again with the same data and not with other data', async () => {
    const rig = katapultRig();
    const at = APP.f446 + 0x1000;
    expect(await rig.feed(send(at, block(1)))).toEqual([ackOf(0x12, at)]);
    expect(await rig.feed(send(at, block(1)))).toEqual([ackOf(0x12, at)]);
    expect(await rig.feed(send(at, block(2)))).toEqual([VECTOR.error]);
    expect(rig.flash.peek(at, 64)).toEqual(block(1));
  });
  test('what the flash did not take is an error', async () => {
    const rig = katapultRig();
    rig.flash.writeProtected.add(APP.f446);
    expect(await rig.feed(send(APP.f446, block(1)))).toEqual([VECTOR.error]);
    expect(rig.flash.peek(APP.f446, 64)).toEqual(BLANK);
  });
  test.each([
    ['stm32f446xx', APP.f446, 250 + 0.256, 500 + 1.6],
    ['stm32h723xx', APP.h723, 2000 + 0.58, 4000 + 1.16],
  ] as const)(
    '%s: erase and program take the times of its own flash width',
    async (chip, app, typical, worst) => {
      for (const [times, ms] of [
        ['typical', typical],
        ['worst', worst],
      ] as const) {
        const rig = katapultRig({ chip, times });
        rig.flash.load(app + 0x80, block(9));
        await rig.feed(send(app, block(1)));
        expect(rig.clock.now()).toBeCloseTo(ms, 3);
      }
    },
  );
});

describe('the core', () => {
  const nowhere = 0x1fff_7a10;
  test('REQUEST_BLOCK reads the bootloader too, at any address of flash', async () => {
    const rig = katapultRig();
    rig.flash.load(0x0800_0000, block(3));
    expect(await rig.feed(frame(0x14, 0x0800_0000))).toEqual([hex(frame(0xa0, 0x14, 0x0800_0000, block(3)))]);
    const [odd = ''] = await rig.feed(frame(0x14, 0x0800_0003));
    expect(odd).toContain(hex(block(3).slice(3)));
  });
  test.each([
    ['REQUEST_BLOCK outside flash', frame(0x14, nowhere)],
    ['REQUEST_BLOCK over the end of flash', frame(0x14, 0x0808_0000 - 32)],
    // Without an address the CRC and trailer are one: 0x0399....
    ['REQUEST_BLOCK without an address', frame(0x14)],
    ['SEND_BLOCK behind the flash: there is no upper bound', send(0x0808_0000, block(1))],
  ])('%s hangs it', async (_what, message) => {
    const rig = katapultRig();
    await rig.feed(VECTOR.complete);
    expect(await rig.feed(message)).toEqual([]);
    expect(rig.firmware.isHung).toBe(true);
    expect(await rig.feed(VECTOR.connect)).toEqual([]);
    await rig.clock.sleep(200);
    expect(rig.jumps).toEqual([]);
  });
  test('the other reading: zeros are read there, and a write fails', async () => {
    const rig = katapultRig({ settings: KIND_KATAPULT });
    expect(await rig.feed(frame(0x14, nowhere))).toEqual([
      hex(frame(0xa0, 0x14, nowhere, new Uint8Array(64))),
    ]);
    expect(await rig.feed(send(0x0808_0000, block(1)))).toEqual([VECTOR.error]);
  });
  test('H7: a torn page hangs it, read or written; with the other reading it is erased', async () => {
    for (const message of [frame(0x14, APP.h723), send(APP.h723, block(1))]) {
      const rig = katapultRig({ chip: 'stm32h723xx', times: 'typical' });
      void rig.flash.eraseSector(APP.h723);
      await rig.clock.sleep(500);
      rig.flash.powerCut();
      await rig.feed(message);
      expect(rig.firmware.isHung).toBe(true);
    }
    const rig = katapultRig({ chip: 'stm32h723xx', times: 'typical', settings: KIND_KATAPULT });
    void rig.flash.eraseSector(APP.h723);
    await rig.clock.sleep(500);
    rig.flash.powerCut();
    expect(await rig.feed(send(APP.h723, block(1)))).toEqual([ackOf(0x12, APP.h723)]);
  });
  test('H7: a block of FF sent twice programs its words twice: ECC error, hang', async () => {
    const rig = katapultRig({ chip: 'stm32h723xx' });
    const at = APP.h723 + 64;
    expect(await rig.feed(send(at, BLANK))).toEqual([ackOf(0x12, at)]);
    await rig.feed(send(at, BLANK));
    expect(rig.firmware.isHung).toBe(true);
  });
  test('COMPLETE jumps 100 ms later, application or not; a second one puts it off', async () => {
    const rig = katapultRig();
    await rig.feed(VECTOR.complete);
    await rig.clock.sleep(60);
    await rig.feed(VECTOR.complete);
    await rig.clock.sleep(200);
    expect(rig.jumps).toEqual([160]);
    expect(await rig.feed(VECTOR.connect)).toEqual([]);
  });
  test('a jump that falls into an erase waits for it', async () => {
    const rig = katapultRig({ times: 'typical' });
    rig.flash.load(APP.f446, block(9));
    await rig.feed(VECTOR.complete);
    expect(await rig.feed(send(APP.f446, block(1)))).toEqual([ackOf(0x12, APP.f446)]);
    expect(rig.jumps).toHaveLength(1);
    expect(rig.jumps[0]).toBeGreaterThan(250);
  });
  test('reset in an erase: no answer, no jump, nothing more', async () => {
    const rig = katapultRig({ times: 'typical' });
    rig.flash.load(APP.f446, block(9));
    await rig.feed(VECTOR.complete);
    const under = rig.feed(send(APP.f446, block(1)));
    await rig.clock.sleep(50);
    rig.firmware.stop();
    rig.flash.powerCut();
    expect(await under).toEqual([]);
    await rig.clock.sleep(500);
    expect([rig.jumps, rig.said()]).toEqual([[], []]);
  });
});

describe('fuzz', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 90 }),
    fc.constantFrom(VECTOR.connect, VECTOR.eof, VECTOR.getId, VECTOR.send, VECTOR.complete).map(bytes),
    fc
      .tuple(fc.nat(255), fc.array(fc.nat(0xffff_ffff), { maxLength: 20 }))
      .map(([command, words]) => frame(command, ...words)),
  );
  test('any bytes: it never throws, answers a frame at most once, and never writes below the application', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 12 }), fc.boolean(), async (pieces, h7) => {
        const rig = katapultRig({ chip: h7 ? 'stm32h723xx' : 'stm32f446xx' });
        const boot = hex(rig.flash.peek(0x0800_0000, 0x8000));
        let buffer = new Uint8Array(0);
        for (const one of pieces) {
          buffer = Uint8Array.from([...buffer, ...one]);
          for (let spins = 0; spins < 200; spins++) {
            const { took, ret } = await rig.firmware.step(buffer);
            expect(took).toBeLessThanOrEqual(buffer.length);
            const said = rig.said();
            expect(said.length).toBeLessThanOrEqual(1);
            if (ret === 0) expect([took, said]).toEqual([0, []]);
            if (ret === -1) for (const answer of said) expect(answer).toBe(VECTOR.nack);
            if (ret === 1) expect(said).not.toContain(VECTOR.nack);
            if (ret === 0 || rig.firmware.isWedged) break;
            // Garbage is thrown away at once, a frame behind it is found in the next step.
            expect(spins).toBeLessThan(199);
            buffer = buffer.slice(took);
          }
        }
        expect(hex(rig.flash.peek(0x0800_0000, 0x8000))).toBe(boot);
        rig.clock.stop();
      }),
      { numRuns: 150 },
    );
  });
});
