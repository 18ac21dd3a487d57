// The race against dfu-util 0.11, written to docs/performance.md: `npm run bench:peers`. Nothing here asserts.
// `-- --laps 5`, `-- --races f446,h723`, `-- --results FILE`: what FILE holds of earlier races is kept and written too.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { writeRaces } from './performance-page.ts';
import { RACES, run, type RaceResult } from './peers-races.ts';
import { report } from './peers-report.ts';

const { laps, races, results } = parseArgs({
  options: {
    laps: { type: 'string', default: '3' },
    races: { type: 'string', default: RACES.map(({ name }) => name).join(',') },
    results: { type: 'string' },
  },
}).values;

const tell = (line: string): void => void process.stderr.write(`${line}\n`);
const known: RaceResult[] =
  results !== undefined && existsSync(results) ? JSON.parse(readFileSync(results, 'utf8')) : [];
const done = new Map(known.map((result) => [result.name, result]));
const wanted = new Set(races.split(','));
for (const race of RACES) {
  if (!wanted.has(race.name)) continue;
  done.set(race.name, await run(race, Number(laps), tell));
  if (results !== undefined) writeFileSync(results, JSON.stringify([...done.values()]));
}
const text = report([...done.values()]);
writeRaces(text);
process.stdout.write(text);
