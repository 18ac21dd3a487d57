// A toolhead on the CAN bus is flashed through its Katapult: entered by request, kept, written, read back, asked again.
import { describe, expect, test } from '@jest/globals';
import { boardByName } from '../../src/boards/boards.ts';
import { flash } from '../../src/flash/flash.ts';
import { recognizeAt } from '../../src/firmware/recognize.ts';
import { preflight } from '../../src/flash/preflight.ts';
import { restore } from '../../src/flash/restore.ts';
import { takeBackup } from '../../src/flash/take-backup.ts';
import type { BoardPlace } from '../../src/flash/place.ts';
import type { CanNodeOptions } from '../../src/virtual/can-node.ts';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { forgeKlipper, type ForgeKlipper } from '../../src/virtual/forge.ts';
import { expectSafe, failureOf, orderFor, setUp, type TestBench } from '../support/bench.ts';

const NEW = 'v0.13.0-1-gabcdef0';
const MODELS = ['btt-ebb36-v1.2', 'mellow-fly-sht36-v1', 'btt-sb2209-rp2040'] as const;
const quiet = () => {};

interface NodeRig extends TestBench {
  readonly node: TestBench['bench']['can']['nodes'][number];
  readonly at: BoardPlace;
}

/** Two toolheads and the board on one bus; the first is ours. */
async function setUpNode(
  model: string,
  node: CanNodeOptions = {},
  options: BenchOptions = {},
): Promise<NodeRig> {
  const rig = await setUp({ can: { nodes: [{ model, ...node }, { nodeId: 9 }] }, ...options });
  const [ours] = rig.bench.can.nodes;
  if (ours === undefined) throw new Error('no node');
  const board = boardByName(model);
  const at: BoardPlace = {
    board: { ...board, name: 'ebb' },
    pins: undefined,
    heaters: { kind: 'unknown' },
    can: { interfaceName: 'can0', uuid: ours.uuid },
  };
  return { ...rig, node: ours, at };
}

function imageFor({ at }: NodeRig, options: Partial<ForgeKlipper> = {}): Uint8Array {
  return forgeKlipper({
    mcu: at.board.mcu.name,
    linkAddress: at.board.applicationAddress,
    version: NEW,
    transport: 'can',
    ...options,
  });
}

function flashNode(rig: NodeRig, image: Uint8Array) {
  return flash(rig.kit, { ...orderFor(rig, image), place: rig.at }, quiet);
}

describe.each(MODELS)('%s', (model) => {
  test('flashed over CAN', async () => {
    const rig = await setUpNode(model);
    const result = await flashNode(rig, imageFor(rig));
    expect(result).toMatchObject({
      state: 'done',
      board: 'ebb',
      verified: true,
      version: NEW,
      bootloader: expect.stringMatching(/^Katapult v/),
      backup: { alreadyKept: false },
      boot: `Klipper ${NEW} on can0 ${rig.node.uuid}`,
    });
    expect(rig.node.klipper).toMatchObject({ version: NEW });
    // Nobody else was touched.
    expect(rig.bench.can.nodes[1]?.admin).toMatchObject({ nodeId: 9, hasConflict: false });
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('the same again writes nothing, and what was there before can be restored', async () => {
    const rig = await setUpNode(model);
    const before = rig.node.klipper?.version;
    const { backup } = await flashNode(rig, imageFor(rig));
    expect(await flashNode(rig, imageFor(rig))).toMatchObject({ bytesWritten: 0, sectorsErased: 0 });
    const restored = await restore(
      rig.kit,
      { place: rig.at, confirm: ['cold', 'still'], backup: backup?.id ?? '' },
      quiet,
    );
    expect(restored).toMatchObject({ state: 'done', verified: true });
    expect(rig.node.klipper?.version).toBe(before);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('from an empty Katapult', async () => {
    const rig = await setUpNode(model, { state: 'katapult-empty' });
    expect(await flashNode(rig, imageFor(rig))).toMatchObject({ state: 'done', verified: true });
    expect(rig.node.klipper).toMatchObject({ version: NEW });
    rig.bench.dispose();
  });

  test('from torn firmware, which hears no request: by the hand of its owner', async () => {
    const rig = await setUpNode(model, { state: 'torn' });
    const notes: string[] = [];
    const result = await flash(rig.kit, { ...orderFor(rig, imageFor(rig)), place: rig.at }, (event) => {
      if (event.kind !== 'note') return;
      notes.push(event.text);
      if (/press the reset button .* twice/.test(event.text)) void twice(rig);
    });
    expect(result).toMatchObject({ state: 'done', verified: true });
    expect(notes.join('\n')).toMatch(/By can-request it did not come: no node/);
    expect(rig.node.klipper).toMatchObject({ version: NEW });
    expectSafe(rig);
    rig.bench.dispose();
  });
});

/** As a person does it, seconds after having been asked. */
async function twice({ bench, node }: NodeRig): Promise<void> {
  await bench.clock.sleep(20_000);
  node.pressReset();
  await bench.clock.sleep(200);
  node.pressReset();
}

test('two toolheads at once on a bus: the second is told to wait, and Klipper runs again', async () => {
  const rig = await setUpNode(MODELS[0]);
  const first = flashNode(rig, imageFor(rig));
  const second = await failureOf(flashNode(rig, imageFor(rig)));
  expect(second).toMatchObject({ code: 'busy' });
  expect(await first).toMatchObject({ state: 'done', verified: true });
  expectSafe(rig);
  rig.bench.dispose();
});

test('firmware that nobody recognises ran a moment ago: nothing was written, so it runs again', async () => {
  const rig = await setUpNode('btt-ebb36-v1.2');
  const { applicationAddress } = rig.at.board;
  // Its dictionary is packed in a way that no reader of ours knows.
  const bytes = rig.node.flash.peek(applicationAddress, 96 * 1024).slice();
  for (let at = bytes.indexOf(0x78); at >= 0; at = bytes.indexOf(0x78, at + 1))
    if (bytes[at + 1] === 0xda) bytes[at + 1] = 0x00;
  rig.node.flash.load(applicationAddress, bytes);
  expect(recognizeAt(bytes, applicationAddress).damage).not.toBeNull();
  const { store } = rig.bench;
  const write = store.write.bind(store);
  store.write = async (key, content) => {
    store.failWrites = key.startsWith('backups/');
    return write(key, content);
  };
  const notes: string[] = [];
  const order = { ...orderFor(rig, imageFor(rig)), place: rig.at };
  const failure = await failureOf(
    flash(rig.kit, order, (event) => void (event.kind === 'note' && notes.push(event.text))),
  );
  expect(failure).toMatchObject({ code: 'store-failed', onBoard: expect.stringMatching(/not changed/) });
  // It was let go, without a word that it stays in its bootloader.
  expect(notes).toEqual([]);
  rig.bench.dispose();
});

test('its backup is of its own flash', async () => {
  const rig = await setUpNode(MODELS[0]);
  const before = rig.node.klipper?.version;
  const { record } = await takeBackup(rig.kit, { place: rig.at, confirm: ['cold', 'still'] }, quiet);
  expect(record).toMatchObject({ board: 'ebb', what: 'whole', mcu: 'stm32g0b1xx', sizeBytes: 128 * 1024 });
  await rig.bench.settle();
  expect(rig.node.klipper?.version).toBe(before);
  rig.bench.dispose();
});

describe('refused, and the node is left as it was', () => {
  const OTHER = { mcu: 'stm32f072xb' };
  test.each<[string, Partial<ForgeKlipper>, string]>([
    ['another chip', OTHER, 'wrong-mcu'],
    ['another bitrate than it talks on this bus', { canFrequency: 500_000 }, 'can-bitrate'],
    ['an image for USB', { transport: 'usb' }, 'wrong-transport'],
    ['a bridge', { transport: 'bridge' }, 'wrong-transport'],
  ])('%s', async (_what, options, code) => {
    const rig = await setUpNode(MODELS[0]);
    const before = rig.node.klipper?.version;
    const image = imageFor(rig, options);
    const failure = await failureOf(flashNode(rig, image));
    expect(failure).toMatchObject({ code, advice: expect.stringMatching(/.../) });
    await rig.bench.clock.sleep(2000);
    expect(rig.node.klipper?.version).toBe(before);
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('two nodes with the same uuid', async () => {
    const rig = await setUpNode(
      MODELS[0],
      { uuid: '0a0b0c000001' },
      {
        can: { nodes: [{ uuid: '0a0b0c000001' }, { uuid: '0a0b0c000001', answerAfterMs: 3 }] },
      },
    );
    expect(await failureOf(flashNode(rig, imageFor(rig)))).toMatchObject({ code: 'two-boards-alike' });
    expectSafe(rig);
    rig.bench.dispose();
  });

  test('no node, no Katapult below it, can0 down: each with its cure', async () => {
    const off = await setUpNode(MODELS[0], { isOff: true });
    expect(await failureOf(flashNode(off, imageFor(off)))).toMatchObject({
      code: 'no-device',
      advice: expect.stringMatching(/canbus-query/),
    });
    const bare = await setUpNode(MODELS[0], { state: 'no-katapult' });
    expect(await failureOf(flashNode(bare, imageFor(bare)))).toMatchObject({ code: 'wrong-device' });
    const down = await setUpNode(MODELS[0], {}, { can: { state: 'down', nodes: [{}] } });
    expect(await failureOf(flashNode(down, imageFor(down)))).toMatchObject({
      code: 'no-hardware',
      advice: expect.stringMatching(/ip link set can0 up/),
    });
    for (const rig of [off, bare, down]) {
      expectSafe(rig);
      rig.bench.dispose();
    }
  });
});

test.each(MODELS)('%s: an image that it cannot take is refused before it is disturbed', (model) => {
  const board = boardByName(model);
  const image = (transport: 'can' | 'usb') => ({
    name: 'klipper.bin',
    bytes: forgeKlipper({
      mcu: board.mcu.name,
      linkAddress: board.applicationAddress,
      version: NEW,
      transport,
    }),
  });
  const options = { replaceBootloader: false, force: [] };
  expect(preflight(board, image('can'), options).passport.transport).toBe('can');
  expect(() => preflight(board, image('usb'), options)).toThrow(
    expect.objectContaining({ code: 'wrong-transport' }),
  );
});
