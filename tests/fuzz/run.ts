// `npm run fuzz [-- TARGET...] [--inputs N] [--seed S] [--only N] [--jobs J]`: a million inputs for each target, and a table.
import { parseArgs } from 'node:util';
import { explain, runTarget, type Report } from './runner.ts';
import { targetNames } from './targets.ts';

const { values, positionals } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    jobs: { type: 'string', default: '1' },
  },
  allowPositionals: true,
});
const say = (line: string) => process.stdout.write(`${line}\n`);
const unknown = positionals.filter((name) => !targetNames.includes(name));
if (unknown.length > 0) {
  say(`There is no target ${unknown.join(', ')}. There are: ${targetNames.join(', ')}.`);
  process.exit(2);
}

function row({ name, inputs, only, seconds, fates, failure }: Report): string {
  const all = [...fates.values()].reduce((sum, count) => sum + count, 0);
  const shares = [...fates]
    .sort(([, one], [, other]) => other - one)
    .map(([fate, count]) => `${fate} ${((100 * count) / all).toFixed(1)} %`);
  const count = only === undefined ? inputs : 1;
  const ending = failure === undefined ? 'holds' : `BROKEN at ${failure.n}`;
  return `| ${name} | ${count.toLocaleString('en')} | ${seconds.toFixed(0)} | ${ending} | ${shares.join(', ')} |`;
}

const left = positionals.length > 0 ? [...positionals] : [...targetNames];
const reports: Report[] = [];
async function worker(): Promise<void> {
  for (let name = left.shift(); name !== undefined; name = left.shift()) {
    const only = values.only === undefined ? undefined : Number(values.only);
    const report = await runTarget({ name, seed: Number(values.seed), inputs: Number(values.inputs), only });
    reports.push(report);
    say(row(report));
    if (report.failure !== undefined) say(await explain(report));
  }
}

say(
  `seed ${values.seed}\n\n| target | inputs | seconds | what must hold | how the inputs were met |\n|---|---|---|---|---|`,
);
await Promise.all(Array.from({ length: Number(values.jobs) }, worker));
process.exitCode = reports.some(({ failure }) => failure !== undefined) ? 1 : 0;
