// `npm run soak [-- --flashes 2000] [--seed 1]`: flashes in virtual time with random faults; what grows, and what was lost.
import { parseArgs } from 'node:util';
import { growth, soak, type Lost, type Measured } from './soak.ts';

/** A megabyte in a thousand flashes is more than a printer sees in its life. */
const MOST_BYTES_PER_1000 = 1024 * 1024;

const { values } = parseArgs({
  options: { flashes: { type: 'string', default: '2000' }, seed: { type: 'string', default: '1' } },
});
const [flashes, seed] = [Number(values.flashes), Number(values.seed)];
const say = (line: string) => process.stdout.write(`${line}\n`);
const mib = (bytes: number) => (bytes / 1024 / 1024).toFixed(2);

function tell({ n, way, story, problems }: Lost): void {
  say(`flash ${n}, ${way}: ${problems.join('; ')}`);
  for (const line of story) say(`  ${line}`);
}

function row({ flashes: done, heapBytes, buffersBytes, handles, sleepers }: Measured): string {
  return `| ${done} | ${mib(heapBytes)} | ${mib(buffersBytes)} | ${handles} | ${sleepers} |`;
}

const began = performance.now();
say(`${flashes} flashes, seed ${seed}\n`);
say('| flashes | heap, MiB | buffers, MiB | handles | timers |\n|---|---|---|---|---|');
const { tally, lost, measured, starts } = await soak({
  flashes,
  seed,
  onLost: tell,
  onMeasured: (one) => say(row(one)),
});
say('\n| what went wrong: how the flash ended | flashes |\n|---|---|');
for (const [what, count] of [...tally].sort(([one], [other]) => one.localeCompare(other)))
  say(`| ${what} | ${count} |`);

const bytes = growth(measured, ({ heapBytes, buffersBytes }) => heapBytes + buffersBytes);
const handles = growth(measured, (one) => one.handles);
const sleepers = growth(measured, (one) => one.sleepers);
say(
  `\nper 1,000 flashes: ${mib(bytes)} MiB, ${handles.toFixed(1)} handles, ${sleepers.toFixed(1)} timers more`,
);
say(`${starts} starts of a daemon, ${Math.round((performance.now() - began) / 1000)} s`);
const isFlat = bytes <= MOST_BYTES_PER_1000 && handles <= 0 && sleepers <= 1;
if (!isFlat) say('NOT flat');
say(`${flashes - lost.length} passed, ${lost.length} failed`);
process.exitCode = isFlat && lost.length === 0 ? 0 : 1;
