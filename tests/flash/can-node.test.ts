// A CAN node into Katapult and out again, whatever it was in before; and which Klipper it runs.
import { describe, expect, test } from '@jest/globals';
import { boardByName } from '../../src/boards/boards.ts';
import { planWrite, sectorsOf } from '../../src/firmware/plan.ts';
import { enterKatapultOnCan } from '../../src/flash/can-node.ts';
import { askVersionOnCan } from '../../src/flash/can-version.ts';
import { openKatapultBootloader } from '../../src/flash/katapult-bootloader.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';
import { failureOf } from '../support/bench.ts';
import { CanWorld, type WorldNode } from '../support/can-world.ts';
import { hexOf } from '../support/katapult-peer.ts';

const UUID = 'ac11f42fe5aa';
const ADDRESS = { interfaceName: 'can0', uuid: UUID };
const F446 = boardByName('octopus-v1.1-f446').mcu;

function setUp(...nodes: Partial<WorldNode>[]) {
  const clock = new VirtualClock();
  const can = new CanWorld(
    clock,
    nodes.map((node) => ({ uuid: UUID, runs: 'klipper', ...node })),
  );
  return { clock, can, kit: { clock, can } };
}
const adminOf = (can: CanWorld, command: string) =>
  can.sent.filter((frame) => frame.startsWith(`3f0#${command}`));

describe('into Katapult', () => {
  test.each<[string, Partial<WorldNode>, number]>([
    ['Katapult that waits', { runs: 'katapult' }, 0],
    ['Klipper without an id', {}, 1],
    ['Klipper with the id that klippy gave it', { nodeId: 4 }, 1],
  ])('from %s', async (_what, node, requests) => {
    const { kit, can, clock } = setUp({ uuid: '11aa22bb33cc', nodeId: 5 }, node);
    const { channel } = await enterKatapultOnCan(kit, ADDRESS);
    expect(can.nodes[1]?.admin).toMatchObject({ program: 'katapult', nodeId: 0x81 });
    expect(can.nodes[0]?.admin).toMatchObject({ program: 'klipper', nodeId: 5, hasConflict: false });
    expect(adminOf(can, `02${UUID}`)).toHaveLength(requests);
    expect([adminOf(can, '12'), can.sent.at(-1)]).toEqual([[], `3f0#11${UUID}81`]);
    expect(clock.now()).toBeLessThan(400);
    await channel.close();
    expect(can.openBuses).toBe(0);
  });

  test('from a Katapult that kept the id of a session that was broken off: all ids are cleared, once', async () => {
    const { kit, can } = setUp({ runs: 'katapult', nodeId: 0x81 });
    await enterKatapultOnCan(kit, ADDRESS);
    expect(can.nodes[0]?.admin.nodeId).toBe(0x81);
    expect(adminOf(can, '12')).toHaveLength(1);
  });

  test('a node that is slow to come back is waited for, and asked again and again', async () => {
    const { kit, can, clock } = setUp({ rebootMs: 4_000, nodeId: 4 });
    await enterKatapultOnCan(kit, ADDRESS);
    expect(clock.now()).toBeGreaterThan(4_000);
    expect(clock.now()).toBeLessThan(4_400);
    expect(adminOf(can, '00').length).toBeGreaterThan(50);
  });

  test('a request that is lost is sent again', async () => {
    let lost = 0;
    const misses = (_n: number, { data }: { data: Uint8Array }) => data[0] === 0x02 && lost++ === 0;
    const { kit, can } = setUp({ misses });
    await enterKatapultOnCan(kit, ADDRESS);
    expect([lost, can.nodes[0]?.admin.program]).toEqual([2, 'katapult']);
  });

  test('an id that is lost is given again', async () => {
    let lost = 0;
    const misses = (_n: number, { data }: { data: Uint8Array }) => data[0] === 0x11 && lost++ === 0;
    const { kit, can } = setUp({ runs: 'katapult', misses });
    await enterKatapultOnCan(kit, ADDRESS);
    expect(can.nodes[0]?.admin.nodeId).toBe(0x81);
  });

  test.each<[string, Partial<WorldNode>[], string, number]>([
    ['nobody', [{ uuid: '11aa22bb33cc' }], 'no-device', 10_000],
    ['Klipper with nothing below it', [{ hasKatapult: false }], 'wrong-device', 3_000],
    ['two with the same uuid', [{ answerAfterMs: 1 }, { answerAfterMs: 2 }], 'two-boards-alike', 100],
    ['two, of which one is in Katapult', [{}, { runs: 'katapult' }], 'two-boards-alike', 100],
  ])('%s', async (_what, nodes, code, aboutMs) => {
    const { kit, can, clock } = setUp(...nodes);
    const failure = await failureOf(enterKatapultOnCan(kit, ADDRESS));
    expect([failure.code, can.openBuses]).toEqual([code, 0]);
    expect(`${failure.message} ${failure.place}`).toContain(UUID);
    expect(clock.now()).toBeGreaterThanOrEqual(aboutMs);
    expect(clock.now()).toBeLessThan(aboutMs + 300);
  });

  test('two that cannot be told apart before are found when both are in Katapult; nothing was written', async () => {
    const { kit, can } = setUp({ nodeId: 4 }, { nodeId: 5, rebootMs: 35 });
    expect((await failureOf(enterKatapultOnCan(kit, ADDRESS))).code).toBe('two-boards-alike');
    expect(adminOf(can, '11')).toEqual([]);
  });

  test('an interface that goes: device-gone; one that is bus-off: the cure', async () => {
    for (const [trouble, code] of [
      ['gone', 'device-gone'],
      ['bus-off', 'no-device'],
    ] as const) {
      const { kit, can, clock } = setUp();
      const failure = failureOf(enterKatapultOnCan(kit, ADDRESS));
      await clock.sleep(20);
      can.trouble(trouble);
      expect(await failure).toMatchObject({ code, place: 'can0' });
      expect([clock.now(), can.openBuses]).toEqual([20, 0]);
    }
  });

  test('cancelled: it ends at once, and gives the bus back', async () => {
    const { kit, can, clock } = setUp({ rebootMs: 5_000 });
    const cancel = new AbortController();
    const walk = enterKatapultOnCan(kit, ADDRESS, cancel.signal);
    void clock.sleep(1_000).then(() => cancel.abort());
    await expect(walk).rejects.toMatchObject({ name: 'AbortError' });
    expect([clock.now(), can.openBuses]).toEqual([1_000, 0]);
  });

  test('no interface, no uuid', async () => {
    const { kit, can } = setUp();
    const elsewhere = enterKatapultOnCan(kit, { ...ADDRESS, interfaceName: 'can1' });
    expect((await failureOf(elsewhere)).code).toBe('no-hardware');
    const nobody = enterKatapultOnCan(kit, { ...ADDRESS, uuid: 'EBB' });
    expect([(await failureOf(nobody)).code, can.openBuses]).toEqual(['bad-parameter', 0]);
  });
});

describe('the version that runs', () => {
  test.each<[string, Partial<WorldNode>]>([
    ['without an id', {}],
    ['with the id that klippy gave it', { nodeId: 4 }],
    ['that comes only after a while', { runs: 'katapult', nodeId: 0x81 }],
  ])('of a Klipper %s', async (what, node) => {
    const { kit, can, clock } = setUp({ ...node, klipper: 'v0.13.0-99-g0123456', rebootMs: 1_500 });
    if (what.includes('while')) {
      // COMPLETE was sent just now.
      can.nodes[0]?.receive({ id: 0x202, data: Uint8Array.from(Buffer.from('01881500911b9903', 'hex')) });
    }
    expect(await askVersionOnCan(kit, ADDRESS)).toBe('v0.13.0-99-g0123456');
    expect([can.nodes[0]?.admin.nodeId, can.openBuses]).toEqual([127, 0]);
    expect(clock.now()).toBeLessThan(4_000);
    // klippy comes back: canserial.c takes the new id.
    can.nodes[0]?.receive({ id: 0x3f0, data: Uint8Array.from(Buffer.from(`01${UUID}04`, 'hex')) });
    expect(can.nodes[0]?.admin).toMatchObject({ nodeId: 4, hasConflict: false });
  });

  test('of a second node: the first one, which has our id, is not shut down', async () => {
    const { kit, can } = setUp({ uuid: '11aa22bb33cc' }, { klipper: 'v0.13.0-2' });
    await askVersionOnCan(kit, { ...ADDRESS, uuid: '11aa22bb33cc' });
    expect(await askVersionOnCan(kit, ADDRESS)).toBe('v0.13.0-2');
    expect(can.nodes.map(({ admin }) => [admin.nodeId, admin.hasConflict])).toEqual([
      [127, false],
      [126, false],
    ]);
    expect(await askVersionOnCan(kit, ADDRESS)).toBe('v0.13.0-2');
  });

  test.each<[string, Partial<WorldNode>, string]>([
    ['nobody', { uuid: '11aa22bb33cc' }, 'no-device'],
    ['a node in Katapult', { runs: 'katapult' }, 'wrong-device'],
  ])('%s', async (_what, node, code) => {
    const { kit, can } = setUp(node);
    const failure = await failureOf(askVersionOnCan(kit, ADDRESS));
    expect([failure.code, failure.place, can.openBuses]).toEqual([code, `CAN node ${UUID}`, 0]);
  });

  test('cancelled: it ends at once', async () => {
    const { kit, can, clock } = setUp({ rebootMs: 60_000, runs: 'katapult', nodeId: 0x81 });
    const cancel = new AbortController();
    const asking = askVersionOnCan(kit, ADDRESS, cancel.signal);
    void clock.sleep(20).then(() => cancel.abort());
    await expect(asking).rejects.toMatchObject({ name: 'AbortError' });
    expect([clock.now(), can.openBuses]).toEqual([20, 0]);
  });
});

test('a toolhead from Klipper to Katapult, written, read back, started, and asked for its version', async () => {
  const { kit, can } = setUp({ nodeId: 4, klipper: 'v0.13.0-2' });
  const recorder = { before: async () => {} };
  const place = `CAN node ${UUID}`;
  const { channel } = await enterKatapultOnCan(kit, ADDRESS);
  const target = { mcu: F446, place, uid: null, over: 'can', canUuid: UUID } as const;
  const chip = await openKatapultBootloader({ ...kit, recorder }, channel, target);
  const image = Uint8Array.from({ length: 20 * 1024 }, (_, at) => (at * 31) & 0xfe);
  const sectors = sectorsOf(F446.sectors, 0x08008000, image.length);
  const before = new Uint8Array(32 * 1024).fill(0x55);
  const plan = planWrite({ address: 0x08008000, bytes: image }, sectors, before, 64, 4);
  await chip.write(plan, { erasing: () => {}, writing: () => {} });
  expect(hexOf(await chip.read(0x08008000, image.length))).toBe(hexOf(image));
  await chip.boot(0x08008000);
  await chip.close();
  expect(await askVersionOnCan(kit, ADDRESS)).toBe('v0.13.0-2');
  expect(can.openBuses).toBe(0);
});
