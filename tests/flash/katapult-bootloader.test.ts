// Katapult as a Bootloader: who answers, what is read, written, on record and started.
import { describe, expect, test } from '@jest/globals';
import { boardByName } from '../../src/boards/boards.ts';
import { planWrite, sectorsOf } from '../../src/firmware/plan.ts';
import { openKatapultBootloader, type KatapultTarget } from '../../src/flash/katapult-bootloader.ts';
import type { Step } from '../../src/ports/recorder.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';
import { PeerChannel } from '../support/katapult-channel.ts';
import { KatapultPeer, bytesOf, hexOf, type PeerOptions } from '../support/katapult-peer.ts';
import { failureOf } from '../support/bench.ts';
import { FAULTS } from '../protocol/katapult-talk.ts';

const KIB = 1024;
const F446 = boardByName('octopus-v1.1-f446').mcu;
const H723 = boardByName('octopus-pro-h723').mcu;
const APPLICATION = 0x08008000;
const USB: KatapultTarget = { mcu: F446, place: '1-1.2', uid: '0e002b00135053424e363620', over: 'usb' };
const UUID = 'ac11f42fe5aa';
const CAN: KatapultTarget = { ...USB, over: 'can', place: `CAN node ${UUID}`, canUuid: UUID };
/** DS13313: pages of 128 KiB, 32-byte words with error correction. */
const H723_PEER: PeerOptions = {
  mcu: 'stm32h723xx',
  applicationAddress: 0x08020000,
  pageBytes: () => 128 * KIB,
  onceBytes: 32,
};

function rigOf(options: PeerOptions = {}, target = USB) {
  const peer = new KatapultPeer(options);
  const clock = new VirtualClock();
  const channel = new PeerChannel(peer, clock);
  const steps: Step[] = [];
  const recorder = {
    before: async (step: Step) => {
      await clock.sleep(1);
      steps.push(step);
    },
  };
  const hooks = { erasing: () => {}, writing: () => {} };
  const open = () => openKatapultBootloader({ clock, recorder }, channel, target);
  return { peer, clock, channel, steps, recorder, hooks, open };
}

function planOf(mcu: typeof F446, address: number, image: Uint8Array, current?: Uint8Array) {
  const sectors = sectorsOf(mcu.sectors, address, image.length);
  const bytes = sectors.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const before = current ?? new Uint8Array(bytes).fill(0x55);
  return planWrite({ address, bytes: image }, sectors, before, 64, mcu.programWordBytes);
}
const imageOf = (sizeBytes: number, seed = 0) =>
  Uint8Array.from({ length: sizeBytes }, (_, at) => (at * 31 + (at >> 8) + seed) & 0xfe);

describe('opening', () => {
  test('tells who it is', async () => {
    const { channel, open } = rigOf();
    const chip = await open();
    expect([chip.kind, chip.identity]).toEqual([
      'katapult',
      {
        mcu: 'stm32f446xx',
        busPath: '1-1.2',
        uid: '0e002b00135053424e363620',
        flashSizeBytes: 512 * KIB,
        transferSizeBytes: 64,
        launchAddress: APPLICATION,
        version: 'v0.0.1-109-g902f335',
      },
    ]);
    await chip.close();
    expect(channel.isClosed).toBe(true);
  });

  test('over CAN the node is asked for its uuid, over USB not', async () => {
    const node = rigOf({ uuid: UUID }, CAN);
    await node.open();
    expect(node.peer.commands).toEqual([0x11, 0x16]);
    const board = rigOf();
    await board.open();
    expect(board.peer.commands).toEqual([0x11]);
  });

  test.each<[string, PeerOptions, KatapultTarget, string, number[]]>([
    ['another chip', { mcu: 'stm32f407xx', uuid: UUID }, CAN, 'wrong-mcu', [0x11]],
    ['another node', { uuid: '11aa22bb33cc' }, CAN, 'wrong-device', [0x11, 0x16]],
    ['a USB build on a CAN bus', {}, CAN, 'wrong-device', [0x11, 0x16]],
    ['a later protocol', { protocol: 0x00020000 }, USB, 'wrong-device', [0x11]],
  ])('%s is refused, and the channel closed', async (_what, options, target, code, commands) => {
    const { peer, channel, open } = rigOf(options, target);
    const failure = await failureOf(open());
    expect([failure.code, failure.place, channel.isClosed]).toEqual([code, target.place, true]);
    expect(peer.commands).toEqual(commands);
  });

  test('a stuck receiver: katapult-wedged, also where the kernel takes no bytes any more', async () => {
    const { peer, channel, open } = rigOf();
    peer.receive(Uint8Array.of(0x01));
    expect(await failureOf(open())).toMatchObject({ code: 'katapult-wedged', place: '1-1.2' });
    const { OctopusError } = await import('../../src/errors.ts');
    const full = rigOf();
    full.channel.beforeWrite = () => {
      throw new OctopusError('usb-timeout', 'took no bytes', { advice: '' });
    };
    expect((await failureOf(full.open())).code).toBe('katapult-wedged');
    expect([channel.isClosed, full.channel.isClosed]).toEqual([true, true]);
  });

  test('a device that leaves: device-gone', async () => {
    const { channel, open } = rigOf();
    channel.isGone = true;
    expect(await failureOf(open())).toMatchObject({ code: 'device-gone' });
  });
});

describe('reading', () => {
  test.each([
    [APPLICATION, 256],
    [APPLICATION + 10, 100],
    [APPLICATION + 63, 2],
    [0x08000000, 32 * KIB],
    [0x08080000 - 5, 5],
  ])('%i, %i bytes, wherever blocks begin', async (address, length) => {
    const { peer, open } = rigOf();
    peer.flash.set(imageOf(512 * KIB));
    const chip = await open();
    const seen: number[] = [];
    const bytes = await chip.read(address, length, (done) => seen.push(done));
    expect(hexOf(bytes)).toBe(hexOf(peer.at(address, length)));
    expect([seen.at(-1), Math.max(...seen)]).toEqual([length, length]);
    expect(peer.offences).toEqual([]);
  });

  test.each([
    [0x07ffffff, 64],
    [0x08080000 - 32, 64],
    [0x1fff7a10, 12],
    [0x20000000, 4],
  ])('%i is outside the flash: refused before it is asked for', async (address, length) => {
    const { peer, open } = rigOf();
    const chip = await open();
    expect((await failureOf(chip.read(address, length))).code).toBe('wrong-address');
    expect([peer.commands, peer.offences]).toEqual([[0x11], []]);
  });

  test.each([
    { name: F446.name, mcu: F446, options: {}, address: APPLICATION, code: 'katapult-wedged' },
    { name: H723.name, mcu: H723, options: H723_PEER, address: 0x08020000, code: 'flash-unreadable' },
  ])('silence on an $name: $code', async ({ mcu, options, address, code }) => {
    const { channel, peer, open } = rigOf(options, { ...USB, mcu });
    const chip = await open();
    channel.beforeWrite = (n) => {
      if (n === 5) peer.isWedged = true;
    };
    expect((await failureOf(chip.read(address, KIB))).code).toBe(code);
  });
});

describe('writing', () => {
  test('46 KiB on an F446: first page closed, the others, first page; then SEND_EOF', async () => {
    const { peer, steps, hooks, open } = rigOf();
    peer.at(APPLICATION, 96 * KIB).fill(0x55);
    const chip = await open();
    const image = imageOf(46 * KIB);
    await chip.write(planOf(F446, APPLICATION, image), hooks);
    expect(peer.erased).toEqual([APPLICATION, 0x0800c000, 0x08010000]);
    expect(peer.programmed.indexOf(0x0800c000)).toBe(1);
    expect(peer.programmed.at(-1)).toBe(APPLICATION + 16 * KIB - 64);
    expect(hexOf(peer.at(APPLICATION, image.length))).toBe(hexOf(image));
    expect(peer.commands.at(-1)).toBe(0x13);
    expect(steps).toEqual([
      { kind: 'erase', address: APPLICATION, sizeBytes: 16 * KIB },
      { kind: 'erase', address: 0x0800c000, sizeBytes: 16 * KIB },
      { kind: 'write', address: 0x0800c000, sizeBytes: 16 * KIB },
      { kind: 'erase', address: 0x08010000, sizeBytes: 64 * KIB },
      { kind: 'write', address: 0x08010000, sizeBytes: 14 * KIB },
      { kind: 'erase', address: APPLICATION, sizeBytes: 16 * KIB },
      { kind: 'write', address: APPLICATION, sizeBytes: 16 * KIB },
    ]);
  });

  test.each([46, 200])('%i KiB on an H723: no word is programmed twice', async (sizeKib) => {
    const { peer, hooks, open } = rigOf(H723_PEER, { ...USB, mcu: H723 });
    peer.at(0x08020000, 256 * KIB).fill(0x55);
    const image = imageOf(sizeKib * KIB);
    const chip = await open();
    await chip.write(planOf(H723, 0x08020000, image), hooks);
    expect(hexOf(peer.at(0x08020000, image.length))).toBe(hexOf(image));
    expect(peer.offences).toEqual([]);
  });

  test('the first byte waits for the first record; a record that fails there stops it, later ones do not', async () => {
    const { peer, clock, channel, hooks, open, steps } = rigOf();
    const plan = planOf(F446, APPLICATION, imageOf(20 * KIB));
    let fails = (_n: number): boolean => true;
    let n = 0;
    const recorder = {
      before: async (step: Step) => {
        steps.push(step);
        if (fails(n++)) throw new Error('disk full');
      },
    };
    const chip = await openKatapultBootloader({ clock, recorder }, channel, USB);
    await expect(chip.write(plan, hooks)).rejects.toThrow('disk full');
    expect([peer.commands, steps.length]).toEqual([[0x11], 1]);
    fails = () => n > 2;
    await chip.write(plan, hooks);
    expect(peer.programmed.length).toBeGreaterThan(20 * 16);
    // Nothing of this test was a fault of its rig.
    await expect(open()).resolves.toBeDefined();
  });

  test.each([
    ['below the application: the bootloader itself', 0x08000000],
    ['behind it, where nothing is started', 0x0800c000],
  ])('an image %s: wrong-address before the first byte', async (_what, address) => {
    const { peer, steps, hooks, open } = rigOf();
    const chip = await open();
    const failure = await failureOf(chip.write(planOf(F446, address, imageOf(KIB)), hooks));
    expect(failure).toMatchObject({ code: 'wrong-address', advice: expect.stringContaining('0x08008000') });
    expect([peer.commands, steps]).toEqual([[0x11], []]);
  });

  test('nothing to write is nothing sent', async () => {
    const { peer, hooks, open } = rigOf();
    const chip = await open();
    await chip.write({ erase: [], write: [] }, hooks);
    expect(peer.commands).toEqual([0x11]);
  });

  test('progress: erased once, then bytes up to the whole', async () => {
    const { open } = rigOf();
    const chip = await open();
    const told: string[] = [];
    await chip.write(planOf(F446, APPLICATION, imageOf(20 * KIB)), {
      erasing: (done, total) => told.push(`erase ${done} ${total}`),
      writing: (done, total) => told.push(`write ${done} ${total}`),
    });
    expect(told.slice(0, 3)).toEqual(['erase 0 32768', 'erase 32768 32768', 'write 64 20480']);
    expect(told.at(-1)).toBe('write 20480 20480');
    expect(told.filter((line) => line.startsWith('erase'))).toHaveLength(2);
  });

  test('an RP2040 keeps the last block back until SEND_EOF', async () => {
    const mcu = {
      ...F446,
      name: 'rp2040',
      flashBase: 0x10000000,
      programWordBytes: 256,
      sectors: Array.from({ length: 512 }, (_, n) => ({
        address: 0x10000000 + n * 4096,
        sizeBytes: 4096,
      })),
    };
    const options = {
      mcu: 'rp2040',
      flashBase: 0x10000000,
      flashBytes: 2048 * KIB,
      applicationAddress: 0x10004000,
      pageBytes: () => 4096,
    };
    const { peer, hooks, open } = rigOf(options, { ...USB, mcu });
    const chip = await open();
    const image = imageOf(10 * KIB);
    await chip.write(planOf(mcu, 0x10004000, image), hooks);
    expect(hexOf(peer.at(0x10004000, image.length))).toBe(hexOf(image));
    expect(peer.commands.at(-1)).toBe(0x13);
    expect(hexOf(await chip.read(0x10004000, 64))).toBe(hexOf(image.subarray(0, 64)));
  });
});

describe('starting the application', () => {
  test('COMPLETE, sent by nothing else', async () => {
    const { peer, hooks, open } = rigOf();
    const chip = await open();
    await chip.write(planOf(F446, APPLICATION, imageOf(KIB)), hooks);
    await chip.read(APPLICATION, KIB);
    expect(peer.commands).not.toContain(0x15);
    await chip.boot(APPLICATION);
    expect([peer.commands.at(-1), peer.isBooted]).toEqual([0x15, true]);
    await chip.close();
  });

  test('where it launches something else: wrong-address, and nothing is sent', async () => {
    const { peer, open } = rigOf();
    const chip = await open();
    expect((await failureOf(chip.boot(0x08000000))).code).toBe('wrong-address');
    expect(peer.commands).toEqual([0x11]);
  });

  test('its answer is lost, and it has left: that is what was wanted', async () => {
    const { peer, channel, open } = rigOf();
    const chip = await open();
    channel.faultAt = { what: 'answer', n: 1, fault: 'lost' };
    await chip.boot(APPLICATION);
    expect(peer.isBooted).toBe(true);
  });

  test('a device that left before: device-gone', async () => {
    const { channel, open } = rigOf();
    const chip = await open();
    channel.isGone = true;
    expect((await failureOf(chip.boot(APPLICATION))).code).toBe('device-gone');
  });
});

describe('a fault at every write and at every answer of a small flash', () => {
  const image = imageOf(17 * KIB);
  // Three blocks in the first page's end and the second page would be a long table: most of the image is blank.
  image.fill(0xff, KIB, 16 * KIB + 512);

  async function flashWith(
    what: 'write' | 'answer',
    n: number,
    fault: (typeof FAULTS)[number],
    target = USB,
  ) {
    const rig = rigOf({ uuid: UUID }, target);
    rig.peer.at(APPLICATION, 32 * KIB).fill(0x55);
    rig.channel.faultAt = { what, n, fault };
    try {
      const chip = await rig.open();
      await chip.write(planOf(F446, APPLICATION, image), rig.hooks);
      const seen = await chip.read(APPLICATION, image.length);
      await chip.boot(APPLICATION);
      return {
        ...rig,
        outcome: hexOf(seen) === hexOf(image) && rig.peer.isBooted ? 'done' : 'wrong bytes',
      };
    } catch (error) {
      return { ...rig, outcome: (error as { code: string }).code };
    }
  }

  test.each(FAULTS.flatMap((fault) => [USB, CAN].map((target) => [fault, target] as const)))(
    '%s',
    async (fault, target) => {
      const { channel, outcome } = await flashWith('write', -1, fault, target);
      expect(outcome).toBe('done');
      for (let n = 0; n < channel.writes; n += n < 30 ? 1 : 23) {
        const answer = await flashWith('answer', n, fault, target);
        expect([n, answer.outcome]).toEqual([n, 'done']);
        const write = await flashWith('write', n, fault, target);
        const isHarmless = fault === 'lost' || fault === 'doubled';
        expect([n, write.outcome]).toEqual([n, isHarmless ? 'done' : 'katapult-wedged']);
        // What was cut off may take all that we send for its rest, and say nothing.
        if (fault !== 'cut') expect(write.peer.isWedged).toBe(!isHarmless);
      }
    },
  );
});

test('a NACK for what somebody else wrote into the port costs nothing', async () => {
  const { peer, channel, clock, hooks, open } = rigOf();
  const chip = await open();
  let sent = false;
  channel.beforeWrite = (n) => {
    if (n === 5 && !sent) peer.receive(bytesOf('41540d'));
    sent ||= n === 5;
  };
  await chip.write(planOf(F446, APPLICATION, imageOf(KIB)), hooks);
  expect(clock.now()).toBeLessThan(100);
});
