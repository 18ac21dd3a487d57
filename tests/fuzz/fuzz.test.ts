// The fuzz targets in short: some thousand inputs that are always the same. `npm run fuzz` is the long run, with new ones.
import { expect, jest, test } from '@jest/globals';
import { explain, runTarget, type Order } from './runner.ts';
import { loadTarget, targetNames } from './targets.ts';

jest.setTimeout(300_000);

test.each(targetNames)('%s: what must hold holds for the inputs of every run', async (name) => {
  const report = await runTarget({ name, seed: 1, inputs: 2500 });
  if (report.failure !== undefined) throw new Error(await explain(report));
  // They come through to every kind of end.
  const { fates } = await loadTarget(name);
  expect(fates.filter((fate) => !report.fates.has(fate))).toEqual([]);
});

test('an input that breaks it, one that never ends and one that fills the memory are reported with how to have them again', async () => {
  const told = async (how: string, bounds: Partial<Order> = {}) =>
    explain(await runTarget({ name: `broken:${how}`, seed: 3, inputs: 10, ...bounds }));
  const wrong = await told('wrong');
  expect(wrong).toMatch(/^broken:wrong: input 5 of seed 3 breaks what must hold:\nBroken: it is five\n/);
  expect(wrong).toMatch(
    /\ninput: 1 bytes in .*, begins [0-9a-f]{2}\nagain: npm run fuzz -- broken:wrong --seed 3 --only 5$/,
  );
  expect(await told('endless', { patienceMs: 1000 })).toMatch(/input 5 of seed 3 .*\ndoes not end: 1 s/);
  expect(await told('greedy', { mostHeapMb: 64 })).toMatch(
    /input 5 of seed 3 .*\nended the thread: .*memory/i,
  );
});
