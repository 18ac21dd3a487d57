// Katapult, ours against its own flashtool: `npm run bench:katapult -- --flashtool PATH [--python PATH] [--rounds N] [--json]`.
// The same virtual board for both, whose flash takes no time: once behind full-speed USB as hosts have it, once behind a
// wire without time, where only the programs' own work is left. Without --flashtool ours alone. Nothing here asserts;
// machines are noisy.
import { execFile, type ExecFileException } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { forgeKlipper } from '../../src/virtual/forge.ts';
import { TIMES } from '../../src/virtual/times.ts';
import { measureCanGaps } from './katapult-can.ts';
import { serveKatapult } from './katapult-pty.ts';

const KIB = 1024;
const BOARD = 'octopus-v1.1-f446';
const APPLICATION = 0x08008000;
const GIVE_UP_MS = 120_000;

const { values } = parseArgs({
  options: {
    flashtool: { type: 'string' },
    python: { type: 'string', default: 'python3' },
    rounds: { type: 'string', default: '7' },
    json: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const folder = mkdtempSync(join(tmpdir(), 'octopus-katapult-'));
const image = join(folder, 'klipper.bin');
const bytes = forgeKlipper({
  mcu: 'stm32f446xx',
  linkAddress: APPLICATION,
  version: 'v0.13.0-1-gabcdef0',
  sizeBytes: 46 * KIB,
});

/** What a host's USB stack needs to put a transfer on the wire (`typical` of the virtual bench). */
const WIRES = { 'full-speed USB': TIMES.typical.transferMs, 'a wire without time': 0 } as const;
type Wire = keyof typeof WIRES;

/** One flash and verify, as the board sees it, ms. */
async function flashBy(
  wire: Wire,
  program: string,
  argumentsFor: (tty: string) => readonly string[],
): Promise<number> {
  const served = await serveKatapult(BOARD, WIRES[wire]);
  try {
    const ended = run(program, argumentsFor(served.path));
    const ms = await Promise.race([
      served.flashed,
      ended.then((output) => {
        throw new Error(`${program} ended without a flash: ${output}`);
      }),
    ]);
    await ended;
    if (Buffer.compare(served.bench.flash.peek(APPLICATION, bytes.length), bytes) !== 0)
      throw new Error(`${program} wrote other bytes`);
    return ms;
  } finally {
    await served.close();
  }
}

function run(program: string, given: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(
      program,
      [...given],
      { timeout: GIVE_UP_MS },
      (error: ExecFileException | null, out: string, err: string) => {
        resolve(error === null ? out : `${error.message} ${out} ${err}`);
      },
    );
  });
}

const ours = (wire: Wire) =>
  flashBy(wire, process.execPath, (tty) => [
    '--disable-warning=ExperimentalWarning',
    join(import.meta.dirname, 'katapult-client.ts'),
    tty,
    BOARD,
    image,
  ]);
const theirs = (wire: Wire, flashtool: string) =>
  flashBy(wire, values.python, (tty) => [flashtool, '-d', tty, '-f', image]);

interface Race {
  readonly wire: Wire;
  readonly oursMs: readonly number[];
  readonly flashtoolMs: readonly number[];
  readonly ratio: number;
}

/** Alternating, so that what the machine does meanwhile falls on both. */
async function race(wire: Wire): Promise<Race> {
  const [oursMs, flashtoolMs]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    oursMs.push(await ours(wire));
    if (values.flashtool !== undefined) flashtoolMs.push(await theirs(wire, values.flashtool));
  }
  return { wire, oursMs, flashtoolMs, ratio: median(flashtoolMs) / median(oursMs) };
}

function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

const races: Race[] = [];
try {
  writeFileSync(image, bytes);
  for (const wire of ['full-speed USB', 'a wire without time'] as const) races.push(await race(wire));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const can = await measureCanGaps(bytes);

const ms = (value: number | undefined, digits = 0) =>
  (value === undefined || Number.isNaN(value) ? '-' : value.toFixed(digits)).padStart(10);
const line = (...cells: readonly string[]) => process.stdout.write(`${cells.join('  ')}\n`);

function print({ wire, oursMs, flashtoolMs, ratio }: Race): void {
  line(`46 KiB written and read back over ${wire}, no time for the flash, ms:`);
  line('round   ', '      ours', ' flashtool');
  for (let round = 0; round < rounds; round++)
    line(String(round + 1).padEnd(8), ms(oursMs[round]), ms(flashtoolMs[round]));
  line('median  ', ms(median(oursMs)), ms(median(flashtoolMs)));
  line(Number.isNaN(ratio) ? 'flashtool was not run' : `${ratio.toFixed(2)} times faster`);
  line();
}

if (values.json) process.stdout.write(`${JSON.stringify({ races, can })}\n`);
else {
  for (const each of races) print(each);
  line('target over full-speed USB: at least 2 times faster');
  line();
  line(`CAN, from the acknowledgement of a block to the first frame of the next, ${can.blocks} blocks:`);
  line(
    `mean ${can.meanMs.toFixed(3)}, median ${can.medianMs.toFixed(3)}, longest ${can.longestMs.toFixed(3)} ms`,
  );
  line('target: a mean under 0.3 ms');
}
