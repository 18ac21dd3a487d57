// `npm run test:faults`: at every moment of a flash something goes wrong, then the daemon starts again; printed as a table.
//   -- --sample                          of alike moments one, as in .ci/run
//   -- --every                           every single moment of the long runs of blocks, too: days
//   -- --rows can --columns sigkill      only the rows and columns with that word
//   -- --only 'dfuse f446 sigkill 137'   one case, told as a story
//   -- --workers 2                       processes; as many as there are processors
import { fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  COLUMNS,
  nameOf,
  parseName,
  piecesOf,
  trySafely,
  type Lost,
  type Piece,
  type Tally,
} from './work.ts';
import { WAYS } from './ways.ts';

const { values } = parseArgs({
  options: {
    sample: { type: 'boolean', default: false },
    every: { type: 'boolean', default: false },
    rows: { type: 'string', default: '' },
    columns: { type: 'string', default: '' },
    only: { type: 'string' },
    workers: { type: 'string' },
  },
});
const say = (line: string) => process.stdout.write(`${line}\n`);
/** A matrix that is lost as a whole needs no list of all of it. */
const MOST_TOLD = 200;

async function tellOne(text: string): Promise<boolean> {
  const named = parseName(text);
  const { moment, story, problems, deeds } = await trySafely(named);
  say(`${nameOf(named)}: ${moment === undefined ? 'it never came so far' : moment.what}`);
  for (const line of story) say(`  ${line}`);
  if (deeds.length > 0) say(`  by hand: ${deeds.join(', ')}`);
  const isWell = problems.length === 0 && moment !== undefined;
  say(isWell ? 'recovered' : `NOT recovered: ${problems.join('; ')}`);
  return isWell;
}

async function matrix(): Promise<boolean> {
  const began = performance.now();
  const ways = WAYS.filter(({ name }) => name.includes(values.rows));
  const columns = COLUMNS.filter((name) => name.includes(values.columns));
  const level = values.every ? 'every' : values.sample ? 'sample' : 'complete';
  const pieces: Piece[] = [];
  for (const way of ways) pieces.push(...(await piecesOf(way, columns, level)));
  const cases = pieces.reduce((sum, piece) => sum + piece.cases.length, 0);
  say(`${cases} cases, ${level}`);
  const tallies = await shared(pieces);
  say('');
  say(
    table(
      tallies,
      ways.map(({ name }) => name),
      columns,
    ),
  );
  const lost = tallies.flatMap((tally) => tally.lost);
  for (const told of lost.slice(0, MOST_TOLD)) tell(told);
  if (lost.length > MOST_TOLD) say(`... and ${lost.length - MOST_TOLD} more`);
  const byHand = tallies.reduce((sum, tally) => sum + tally.byHand, 0);
  say(`${byHand} of them with the hand of the owner, who was told what to do`);
  say(`${Math.round((performance.now() - began) / 1000)} s`);
  say(`${cases - lost.length} passed, ${lost.length} failed`);
  return lost.length === 0 && cases > 0;
}

function shared(pieces: readonly Piece[]): Promise<readonly Tally[]> {
  const left = [...pieces];
  const tallies: Tally[] = [];
  const most = Math.min(Number(values.workers ?? availableParallelism()), left.length);
  return new Promise((resolve, reject) => {
    let working = most;
    if (working === 0) resolve(tallies);
    for (let index = 0; index < most; index++) {
      const worker = fork(join(import.meta.dirname, 'worker.ts'), { serialization: 'advanced' });
      const next = (): void => {
        const piece = left.shift();
        if (piece === undefined) worker.disconnect();
        else worker.send(piece);
      };
      worker.on('message', (tally: Tally) => {
        tallies.push(tally);
        next();
      });
      worker.on('exit', (code) => {
        if (code !== 0) reject(new Error(`a worker ended with ${code}`));
        working -= 1;
        if (working === 0) resolve(tallies);
      });
      next();
    }
  });
}

/** Recovered of tried; where the owner's hand was needed, how often. */
function table(tallies: readonly Tally[], rows: readonly string[], columns: readonly string[]): string {
  const cell = (row: string, column: string): string => {
    const own = tallies.filter((one) => one.way === row && one.column === column);
    const tried = own.reduce((sum, one) => sum + one.tried, 0);
    const lost = own.reduce((sum, one) => sum + one.lost.length, 0);
    const byHand = own.reduce((sum, one) => sum + one.byHand, 0);
    return `${tried - lost} of ${tried}${byHand === 0 ? '' : ` (${byHand})`}`;
  };
  const lines = [
    ['', ...columns],
    ['---', ...columns.map(() => '---')],
    ...rows.map((row) => [row, ...columns.map((column) => cell(row, column))]),
  ];
  const widths = lines[0]?.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0))) ?? [];
  return lines
    .map((line) => `| ${line.map((text, at) => text.padEnd(widths[at] ?? 0)).join(' | ')} |`)
    .join('\n');
}

function tell({ name, what, story, problems }: Lost): void {
  say(`\n${name} [${what}]`);
  for (const line of story) say(`  ${line}`);
  say(`  NOT recovered: ${problems.join('; ')}`);
  say(`  alone: npm run test:faults -- --only '${name}'`);
}

Error.stackTraceLimit = values.only === undefined ? 0 : 10;
process.exitCode = (await (values.only === undefined ? matrix() : tellOne(values.only))) ? 0 : 1;
