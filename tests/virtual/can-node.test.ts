// CAN nodes as boards: what they boot into and when, Klipper on the bus, and what outlives a process.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import type { CanNode } from '../../src/virtual/can-node.ts';
import { canUuid, uidWithUuid } from '../../src/virtual/can-uuid.ts';
import { forgeKlipper, OLD_KLIPPER } from '../../src/virtual/forge.ts';
import { loadToolhead, NODE_STATES, toolheadNames } from '../../src/virtual/toolhead-data.ts';
import { chopped, disposed, joined, klipperBlock, onBus, type OnBus } from './can-bus.ts';
import { hex } from './katapult-rig.ts';

const UUID = '11aa22bb33cc';
const KLIPPER = `3f1#20${UUID}01`;
const KATAPULT = `3f1#20${UUID}11`;
const REQUEST = `3f0#02${UUID}`;
/** Typical times: 500 ms in Katapult's window, 229 until Klipper's or Katapult's controller is up. */
const WINDOW_MS = 500;
const START_MS = 229;

describe('uuids', () => {
  test.each(['0a0b0c000001', 'ffffffffffff', '000000000000'])('a chip can be made for %s', (uuid) => {
    expect([canUuid(uidWithUuid(uuid, 12)), canUuid(uidWithUuid(uuid, 8))]).toEqual([uuid, uuid]);
  });
  // klipper-katapult-dfu.md section 3(d).
  test('it is the hash of the chip id', async () => {
    const { node } = await onBus([{ uid: '0E002B00135053424E363620' }]);
    expect([node.uuid, hex(node.uid)]).toEqual(['ac11f42fe5aa', '0e002b00135053424e363620']);
  });
});

describe.each(toolheadNames())('%s', (model) => {
  test.each(NODE_STATES)('in the state %s', async (state) => {
    const { ask, node } = await onBus([{ model, state, uuid: UUID }]);
    const answer = {
      klipper: [KLIPPER],
      'no-katapult': [KLIPPER],
      katapult: [KATAPULT],
      'katapult-empty': [KATAPULT],
      torn: [],
      blank: [],
    }[state];
    expect([node.toolhead.name, await ask(['3f0#00'])]).toEqual([model, answer]);
    expect(node.uid).toHaveLength(loadToolhead(model).mcu === 'rp2040' ? 8 : 12);
    expect(node.klipper?.version).toBe(answer[0] === KLIPPER ? OLD_KLIPPER : undefined);
  });

  test('a cold start waits for a second reset, and then for Klipper', async () => {
    const { ask, node } = await onBus([{ model, uuid: UUID, isOff: true }]);
    node.coldStart();
    expect(await ask(['3f0#00'], WINDOW_MS + START_MS - 10)).toEqual([]);
    expect(node.settled).toBe(false);
    await ask([], 20);
    expect([node.settled, await ask(['3f0#00'])]).toEqual([true, [KLIPPER]]);
  });

  // Katapult src/bootentry.c: from 10 to 500 ms.
  test.each([
    [5, KLIPPER],
    [15, KATAPULT],
    [490, KATAPULT],
    [510, KLIPPER],
  ])('a second reset %d ms after the first: %s', async (gapMs, expected) => {
    const { ask, node } = await onBus([{ model, uuid: UUID }]);
    node.pressReset();
    await ask([], gapMs);
    node.pressReset();
    await ask([], WINDOW_MS + START_MS + 50);
    expect(await ask(['3f0#00'])).toEqual([expected]);
  });

  test('power in between forgets the first reset', async () => {
    const { ask, node } = await onBus([{ model, uuid: UUID }]);
    node.pressReset();
    await ask([], 100);
    node.powerOff();
    node.coldStart();
    await ask([], WINDOW_MS + START_MS + 50);
    expect(await ask(['3f0#00'])).toEqual([KLIPPER]);
  });

  test('the request for the bootloader: at once, with an id too; and out of it by a reset', async () => {
    const { ask, node } = await onBus([{ model, uuid: UUID, nodeId: 4 }]);
    expect(await ask(['3f0#00', REQUEST], START_MS - 10)).toEqual([]);
    await ask([], 20);
    expect(await ask(['3f0#00'])).toEqual([KATAPULT]);
    node.pressReset();
    await ask([], WINDOW_MS + START_MS + 50);
    expect(await ask(['3f0#00'])).toEqual([KLIPPER]);
  });

  test('the request without a Katapult', async () => {
    const { ask, node } = await onBus([{ model, uuid: UUID, state: 'no-katapult', nodeId: 4 }]);
    await ask([REQUEST], 1000);
    if (node.toolhead.mcu !== 'rp2040') {
      // STM32_DFU_ROM_ADDRESS is 0 in a build without USB: nothing happens, and it keeps its id.
      expect([node.running.kind, await ask(['3f0#00'])]).toEqual(['klipper', []]);
      return;
    }
    // bootrom_reboot_usb_bootloader: it has left the bus until its next reset.
    expect([node.running.kind, await ask(['3f0#00']), node.controller.isOnBus]).toEqual(['rom', [], false]);
    node.pressReset();
    await ask([], START_MS + 50);
    expect(await ask(['3f0#00'])).toEqual([KLIPPER]);
  });

  test('a torn application is started and never heard of; two resets save it', async () => {
    const { ask, node } = await onBus([{ model, uuid: UUID, state: 'torn' }]);
    expect([node.running.kind, await ask(['3f0#00'])]).toEqual(['nothing', []]);
    node.pressReset();
    await ask([], 100);
    node.pressReset();
    await ask([], START_MS + 50);
    expect(await ask(['3f0#00'])).toEqual([KATAPULT]);
  });
});

describe('Klipper over CAN', () => {
  const identify = (offset: number, count: number, sequence: number) =>
    // VLQ: below 96 one byte, then two.
    klipperBlock(sequence, [1, ...(offset < 96 ? [offset] : [0x80 | (offset >> 7), offset & 0x7f]), count]);

  async function readDictionary({ ask }: OnBus): Promise<Uint8Array> {
    const bytes: number[] = [];
    for (let sequence = 0; ; sequence = (sequence + 1) & 0x0f) {
      const answer = Buffer.from(
        joined(await ask(chopped('108', identify(bytes.length, 40, sequence)), 5), '109'),
        'hex',
      );
      // identify_response: length, sequence, 0, offset (one or two bytes), length of the data, data.
      const head = bytes.length < 96 ? 4 : 5;
      const length = answer[head] ?? 0;
      if (length === 0) return Uint8Array.from(bytes);
      bytes.push(...answer.subarray(head + 1, head + 1 + length));
    }
  }

  test('its dictionary is the one in its flash', async () => {
    const rig = await onBus([{ uuid: UUID, version: 'v0.13.0-9-g0123456' }]);
    await rig.ask([`3f0#01${UUID}04`]);
    const read = await readDictionary(rig);
    expect(read).toEqual(rig.node.klipper?.dictionary);
    expect(JSON.parse(inflateSync(read).toString('utf8'))).toMatchObject({
      version: 'v0.13.0-9-g0123456',
      config: { MCU: 'stm32g0b1xx', CANBUS_FREQUENCY: 1_000_000 },
    });
  });

  test('a block that is not whole waits for its rest; a wrong one gets a nak', async () => {
    const { ask } = await onBus([{ uuid: UUID }]);
    await ask([`3f0#01${UUID}04`]);
    const [first = '', ...rest] = chopped('108', identify(0, 40, 0));
    expect(await ask([first.slice(0, 8)])).toEqual([]);
    expect(await ask([`108#${first.slice(8)}`, ...rest])).not.toEqual([]);
    // A message of that length with a wrong CRC: an empty block with the number that is expected next.
    expect(await ask(['108#061100ffff7e'])).toEqual([`109#${klipperBlock(1, [])}`]);
  });

  test('an id conflict shuts it down: it keeps quiet until it gets an id, and still obeys the request', async () => {
    const { ask, node } = await onBus([{ uuid: UUID, nodeId: 4 }]);
    expect(await ask(['3f0#0111223344556604', '3f0#00'])).toEqual([KLIPPER]);
    expect(node.admin.hasConflict).toBe(true);
    await ask([`3f0#01${UUID}05`]);
    // get_config: is_shutdown, id 73 of the forged dictionary, and the acknowledgement.
    const told = joined(await ask(chopped('10a', klipperBlock(0, [4]))), '10b');
    expect(told.slice(4, 8)).toBe('4900');
    expect(await ask([REQUEST], START_MS + 20)).toEqual([]);
    expect(await ask(['3f0#00'])).toEqual([KATAPULT]);
  });

  test('it keeps its id until it is reset', async () => {
    const { ask, node } = await onBus([{ uuid: UUID }]);
    await ask([`3f0#01${UUID}04`], 60_000);
    expect(await ask(['3f0#00', '3f0#12'])).toEqual([]);
    node.pressReset();
    await ask([], 1000);
    expect(await ask(['3f0#00'])).toEqual([KLIPPER]);
  });
});

test('two chips alike have one uuid, and both obey', async () => {
  const { ask, bench } = await onBus([{ uuid: UUID }, { uuid: UUID, answerAfterMs: 1 }]);
  expect(await ask(['3f0#00'])).toEqual([KLIPPER, KLIPPER]);
  await ask([REQUEST], 300);
  expect(bench.can.nodes.slice(0, 2).map(({ running }) => running.kind)).toEqual(['katapult', 'katapult']);
});

test('a Klipper built for another bitrate is deaf, and its Katapult is not', async () => {
  const image = forgeKlipper({ mcu: 'stm32g0b1xx', transport: 'can', canFrequency: 500_000 });
  const { ask, node } = await onBus([{ uuid: UUID, disturbs: 0, isOff: true }]);
  const padded = new Uint8Array(Math.ceil(image.length / 8) * 8).fill(0xff);
  padded.set(image);
  node.flash.load(0x0800_2000, padded);
  node.powerOn();
  expect([node.klipper?.canFrequency, await ask(['3f0#00'])]).toEqual([500_000, []]);
  node.pressReset();
  await ask([], 100);
  node.pressReset();
  await ask([], 300);
  expect(await ask(['3f0#00'])).toEqual([KATAPULT]);
});

describe('kept', () => {
  let keepDir = '';
  beforeEach(() => {
    keepDir = mkdtempSync(join(tmpdir(), 'nodes-'));
  });
  afterEach(() => rmSync(keepDir, { recursive: true, force: true }));

  async function life(act: (node: CanNode, rig: OnBus) => Promise<void> | void): Promise<void> {
    const rig = await onBus([{ uuid: UUID }], { keepDir });
    await act(rig.node, rig);
    rig.bench.dispose();
  }

  test('flash, Katapult and id outlive the process, and end with the power', async () => {
    await life(async (node, { ask }) => {
      await ask([`3f0#01${UUID}04`]);
      await node.flash.eraseSector(0x0801_0000);
      await node.flash.program(0x0801_0000, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    });
    await life(async (node, { ask }) => {
      expect([node.admin.nodeId, hex(node.flash.peek(0x0801_0000, 9))]).toEqual([4, '0102030405060708ff']);
      await ask([REQUEST], 300);
    });
    await life(async (node, { ask }) => {
      expect([node.running.kind, await ask(['3f0#00'])]).toEqual(['katapult', [KATAPULT]]);
      node.powerOff();
      node.powerOn();
      expect(await ask(['3f0#00'])).toEqual([KLIPPER]);
    });
    await life(async (node, { ask }) => {
      expect([node.running.kind, node.admin.nodeId, await ask(['3f0#00'])]).toEqual([
        'klipper',
        undefined,
        [KLIPPER],
      ]);
    });
  });
});

describe('our board', () => {
  const OWN = '90a4ae022dfc';
  const uid = '000102030405060708090A0B';
  async function board(options: BenchOptions): Promise<OnBus> {
    const rig = await onBus([{ uuid: UUID }], { uid, ...options });
    await rig.bench.printer.stopKlipper();
    return rig;
  }
  const usb = async ({ bench }: OnBus) =>
    (await bench.usb.list()).map(
      ({ vendorId, productId }) => `${vendorId.toString(16)}:${productId.toString(16)}`,
    );

  // klipper-katapult-dfu.md section 3(b), and the frame of 3(d).
  test.each([
    ['bridge-katapult', '1d50:6177', 'katapult'],
    ['bridge', '483:df11', 'rom'],
  ] as const)('as %s it goes to %s when it is asked, and takes can0 with it', async (state, id, kind) => {
    const rig = await board({ state });
    const troubles: string[] = [];
    rig.bus.onTrouble((one) => troubles.push(one));
    expect(await usb(rig)).toEqual(['1d50:606f']);
    await rig.bus.send({ id: 0x3f0, data: Uint8Array.from(Buffer.from(`02${OWN}`, 'hex')) });
    await rig.bench.clock.sleep(3000);
    expect([rig.bench.board.running.kind, await usb(rig), troubles]).toEqual([kind, [id], ['gone']]);
    await expect(rig.bench.can.open('can0')).rejects.toMatchObject({ message: 'can0 is absent' });
  });

  test('as a bridge it hands out its dictionary over its own id, which no other node hears', async () => {
    const rig = await board({ state: 'bridge-katapult' });
    await rig.bench.pressReset();
    await rig.bench.settle();
    const again = await rig.bench.can.open('can0');
    const heard: string[] = [];
    again.onFrame(({ id, data }) => heard.push(`${id.toString(16)}#${hex(data)}`));
    const before = rig.bench.can.wire.frames;
    for (const one of ['3f0#01' + OWN + '0a', ...chopped('114', klipperBlock(0, [1, 0, 40]))]) {
      const [id = '', bytes = ''] = one.split('#');
      await again.send({ id: Number.parseInt(id, 16), data: Uint8Array.from(Buffer.from(bytes, 'hex')) });
      await rig.bench.clock.sleep(1);
    }
    const dictionary = rig.bench.board.klipper?.dictionary ?? new Uint8Array(0);
    expect(joined(heard, '115')).toContain(hex(dictionary.subarray(0, 40)));
    expect(rig.bench.can.wire.frames - before).toBe(1);
  });

  test('as a node Klipper owns it until it is reset; then it answers, and Katapult after it', async () => {
    const rig = await onBus([{ uuid: UUID, nodeId: 9 }], { uid, state: 'can-node' });
    expect([await rig.ask(['3f0#00']), await usb(rig)]).toEqual([[], []]);
    await rig.bench.printer.stopKlipper();
    expect(await rig.ask(['3f0#00'])).toEqual([]);
    await rig.bench.pressReset();
    await rig.bench.settle();
    expect(await rig.ask(['3f0#00'])).toEqual([`3f1#20${OWN}01`]);
    await rig.ask([`3f0#02${OWN}`], 300);
    expect([await rig.ask(['3f0#00']), await usb(rig)]).toEqual([[`3f1#20${OWN}11`], []]);
  });

  test('as a node above a stock bootloader it does not heed the request', async () => {
    const rig = await board({ state: 'can-node-stock' });
    await rig.ask([`3f0#02${OWN}`], 3000);
    expect(rig.bench.board.klipper?.transport).toBe('can');
  });

  test('its printer loses it when it is reset', async () => {
    const rig = await onBus([{ uuid: UUID }], { uid, state: 'can-node' });
    await rig.bench.printer.verdict(10_000);
    expect((await rig.bench.printer.read()).state).toBe('ready');
    await rig.bench.pressReset();
    expect((await rig.bench.printer.read()).state).toBe('shutdown');
  });
});

test('a bench has room for 32 nodes of mixed models', async () => {
  const models = toolheadNames();
  const nodes = Array.from({ length: 32 }, (_, n) => ({ model: models[n % models.length] ?? '' }));
  const bench = await disposed({ times: 'zero', can: { nodes } });
  expect(new Set(bench.can.nodes.map(({ uuid }) => uuid)).size).toBe(32);
});
