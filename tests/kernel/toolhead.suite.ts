// A toolhead behind the bridge, on the stock kernel: its gs_usb driver makes can0 of the board, and the real command line
// finds who is on the bus and flashes a node through its Katapult, frame by frame over that interface.
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { uidBytes } from '../../src/virtual/board-data.ts';
import { canUuid } from '../../src/virtual/can-uuid.ts';
import { forgeKlipper } from '../../src/virtual/forge.ts';
import { BRIDGE, bootFlashRig, type FlashRig } from './flash-rig.ts';
import { FlashSite } from './flash-site.ts';

const MODELS = ['btt-ebb36-v1.2', 'mellow-fly-sht36-v1'] as const;
const APP = 0x0800_2000;
const VERSION = 'v0.13.0-901';

let rig: FlashRig;
let site: FlashSite;
beforeAll(async () => {
  const nodes = MODELS.map((model) => ({ model }));
  rig = await bootFlashRig({ state: 'bridge', can: { nodes } }, BRIDGE);
  site = await FlashSite.open(rig.guest, rig.served);
  const up =
    'until ip link show can0; do sleep 0.1; done; ip link set can0 up txqueuelen 128 type can bitrate 1000000';
  const { code, stderr } = await rig.guest.sh(up);
  if (code !== 0) throw new Error(stderr);
});
afterAll(async () => rig?.end());
afterEach(() => rig.expectPeace());

test('canbus-query finds the bridge and its nodes, each once', async () => {
  const { nodes } = rig.served.bench.can;
  const bridge = canUuid(uidBytes(rig.served.bench.board.data));
  const { code, answer } = await site.octopus(['canbus-query']);
  const found = answer.nodes.map(({ uuid, application }: { uuid: string; application: string }) => [
    uuid,
    application,
  ]);
  expect(code).toBe(0);
  expect(found.sort()).toEqual(
    [bridge, ...nodes.map(({ uuid }) => uuid)].sort().map((uuid) => [uuid, 'klipper']),
  );
});

test('a toolhead is flashed over can0, read back, and says its version', async () => {
  const [node, other] = rig.served.bench.can.nodes;
  if (node === undefined || other === undefined) throw new Error('no nodes');
  await site.add(`[board ebb]\nboard: ${MODELS[0]}\ncanbus_uuid: ${node.uuid}\n`);
  const image = Buffer.from(
    forgeKlipper({ mcu: 'stm32g0b1xx', linkAddress: APP, version: VERSION, transport: 'can', seed: 9 }),
  );
  const ended = await site.octopus(site.flashing(image, 'ebb'), { timeoutMs: 240_000 });
  expect([ended.code, ended.answer]).toMatchObject([
    0,
    {
      state: 'done',
      board: 'ebb',
      verified: true,
      version: VERSION,
      boot: `Klipper ${VERSION} on can0 ${node.uuid}`,
      backup: { what: 'whole' },
    },
  ]);
  expect(Buffer.from(node.flash.peek(APP, image.length)).equals(image)).toBe(true);
  expect(node.klipper?.version).toBe(VERSION);
  // The bridge never left the bus, and the other node was not asked for anything.
  expect(await site.found()).toEqual([]);
  expect(other.klipper?.version).not.toBe(VERSION);
  expect(site.story).toEqual([]);
});

test('an image for another bitrate is refused when the node was seen, and the node runs on', async () => {
  const [node] = rig.served.bench.can.nodes;
  const image = forgeKlipper({
    mcu: 'stm32g0b1xx',
    linkAddress: APP,
    version: 'v0.13.0-902',
    transport: 'can',
    canFrequency: 500_000,
  });
  const { code, answer } = await site.octopus(site.flashing(image, 'ebb'), { timeoutMs: 240_000 });
  expect([code, answer]).toMatchObject([3, { error: { code: 'can-bitrate' } }]);
  await site.until('the node runs again', () => node?.klipper?.version === VERSION);
});
