// A fault at every single CAN frame on the way into Katapult, through a small flash, and out again: done, or an error that
// says how to recover; and after two resets
// of the node within half a second the next try is done.
import { afterEach, expect, jest, test } from '@jest/globals';
import { boardByName } from '../../src/boards/boards.ts';
import { planWrite, sectorsOf } from '../../src/firmware/plan.ts';
import { enterKatapultOnCan } from '../../src/flash/can-node.ts';
import { openKatapultBootloader } from '../../src/flash/katapult-bootloader.ts';
import { createBench, type VirtualBench } from '../../src/virtual/bench.ts';
import type { FrameFault } from '../../src/virtual/can-wire.ts';
import { hexOf } from '../support/katapult-peer.ts';

jest.setTimeout(300_000);

const benches: VirtualBench[] = [];
afterEach(() => {
  for (const bench of benches.splice(0)) bench.dispose();
});

const MODEL = 'btt-ebb36-v1.2';
const { mcu, applicationAddress } = boardByName(MODEL);
/** Two pages of 2 KiB: five blocks in the first, two in the second. */
const image = new Uint8Array(2048 + 128).fill(0xff);
for (let at = 0; at < 5 * 64; at++) image[at] = (at * 7) & 0x7f;
for (let at = 2048; at < image.length; at++) image[at] = (at * 5) & 0x7f;

async function flashNode(bench: VirtualBench, uuid: string): Promise<string> {
  const kit = { clock: bench.clock, can: bench.can, recorder: { before: async () => {} } };
  try {
    const { channel } = await enterKatapultOnCan(kit, { interfaceName: 'can0', uuid });
    const target = { mcu, place: `CAN node ${uuid}`, uid: null, over: 'can', canUuid: uuid } as const;
    const chip = await openKatapultBootloader(kit, channel, target);
    try {
      const sectors = sectorsOf(mcu.sectors, applicationAddress, image.length);
      const whole = { address: applicationAddress, bytes: image };
      const plan = planWrite(whole, sectors, new Uint8Array(0), 64, mcu.programWordBytes, () => true);
      await chip.write(plan, { erasing: () => {}, writing: () => {} });
      const seen = await chip.read(applicationAddress, 5 * 64);
      expect(hexOf(seen)).toBe(hexOf(image.subarray(0, 5 * 64)));
      await chip.boot(applicationAddress);
      return 'done';
    } finally {
      await chip.close();
    }
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

async function flashWith(at: number, fault: FrameFault | undefined) {
  const bench = await createBench({ can: { nodes: [{ model: MODEL }] } });
  benches.push(bench);
  const [node] = bench.can.nodes;
  if (node === undefined) throw new Error('no node');
  let frames = 0;
  bench.can.wire.faults.onFrame = () => (++frames === at ? fault : undefined);
  const outcome = await flashNode(bench, node.uuid);
  return { bench, node, outcome, frames };
}

test.each(['lost', 'doubled', 'corrupted', 'cut'] as const)('%s', async (fault) => {
  const { frames, outcome: plain } = await flashWith(0, undefined);
  expect([plain, frames > 150]).toEqual(['done', true]);
  let done = 0;
  for (let n = 1; n <= frames; n += n < 25 || n > frames - 8 ? 1 : 7) {
    const { bench, node, outcome } = await flashWith(n, fault);
    done += Number(outcome === 'done');
    expect([n, ['done', 'katapult-wedged'].includes(outcome), outcome]).toEqual([n, true, outcome]);
    if (outcome !== 'done') {
      node.pressReset();
      await bench.clock.sleep(200);
      node.pressReset();
      await bench.clock.sleep(1_000);
      expect([n, await flashNode(bench, node.uuid)]).toEqual([n, 'done']);
    }
    benches.pop()?.dispose();
  }
  expect(done).toBeGreaterThan(20);
});
