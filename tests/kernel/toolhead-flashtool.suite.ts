// Toolheads behind the served bridge, through the stock kernel's gs_usb: candump, and Katapult's own flashtool where
// KATAPULT_FLASHTOOL names its file (scripts/flashtool.py of Katapult, which is no part of this repository).
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createBench, type VirtualBench } from '../../src/virtual/bench.ts';
import { forgeKlipper } from '../../src/virtual/forge.ts';
import { NO_HOST_TIMES, serveBench, type Served } from '../../src/virtual/serve/serve.ts';
import { loadToolhead, toolheadNames } from '../../src/virtual/toolhead-data.ts';
import { toolheadsOnBus } from '../../src/virtual/toolheads.ts';
import { Guest, SHARE, usbRedir } from './guest.ts';

const MODELS = toolheadNames();
const flashtool = process.env['KATAPULT_FLASHTOOL'];
let guest: Guest;
let bench: VirtualBench;
let served: Served;

beforeAll(async () => {
  bench = await createBench({
    state: 'bridge-katapult',
    clock: 'real',
    timesOverride: NO_HOST_TIMES,
    can: { nodes: toolheadsOnBus(MODELS.length) },
  });
  const socket = join(process.env['TMPDIR'] ?? '/tmp', `octopus-toolheads-${process.pid}`);
  served = await serveBench(bench, { usbredir: socket });
  guest = await Guest.boot({
    modules: ['xhci_pci', 'gs_usb', 'can_raw'],
    devices: usbRedir(socket),
    udev: true,
  });
  const isThere = async (): Promise<boolean> => (await guest.run(['ip', 'link', 'show', 'can0'])).code === 0;
  while (!(await isThere())) await new Promise((resolve) => setTimeout(resolve, 200));
  // Klipper's documents ask for 128.
  await guest.sh('ip link set can0 txqueuelen 128; ip link set can0 up type can bitrate 1000000');
});
afterAll(async () => {
  await guest?.stop();
  await served?.close();
  bench?.dispose();
});

test('candump: each toolhead answers the query as Klipper', async () => {
  const { stdout } = await guest.sh(
    `candump -L -n ${MODELS.length + 2} -T 5000 can0,3F1:7FF,3F0:7FF > ${SHARE}/dump & sleep 0.5; cansend can0 3F0#00; wait; cut -d' ' -f3 ${SHARE}/dump`,
  );
  const [echo, ...answers] = stdout.trim().split('\n');
  expect(echo).toBe('3F0#00');
  const expected = bench.can.nodes.map(({ uuid }) => `3F1#20${uuid.toUpperCase()}01`);
  for (const one of expected) expect(answers).toContain(one);
});

// Named by whoever has it: it is another project's program.
if (flashtool !== undefined)
  describe("Katapult's flashtool", () => {
    test.each(MODELS)(
      '%s: asked into Katapult, flashed, verified, back as the new Klipper',
      async (model) => {
        const node = bench.can.nodes.find(({ toolhead }) => toolhead.name === model);
        const { mcu } = loadToolhead(model);
        const version = `v0.13.0-99-g${mcu.length}abcdef`;
        mkdirSync(join(guest.share, model));
        copyFileSync(flashtool ?? '', join(guest.share, 'flashtool.py'));
        // By this name it looks for the chip in it.
        writeFileSync(
          join(guest.share, model, 'klipper.bin'),
          forgeKlipper({ mcu, transport: 'can', version }),
        );
        const { code, stdout } = await guest.run(
          [
            'python3',
            `${SHARE}/flashtool.py`,
            '-i',
            'can0',
            '-u',
            node?.uuid ?? '',
            '-f',
            `${SHARE}/${model}/klipper.bin`,
          ],
          { timeoutMs: 240_000 },
        );
        expect([code, stdout]).toEqual([0, expect.stringContaining('Verification Complete')]);
        while (node?.klipper?.version !== version) await new Promise((resolve) => setTimeout(resolve, 50));
      },
    );
  });
