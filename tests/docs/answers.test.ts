// docs/answers.md: what each method answers in each state of the printer, armed or not, found out by asking the desk.
// `UPDATE_DOCS=1 npm run jest -- tests/docs` writes the page anew; otherwise it must say what is so.
import { expect, test } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Desk } from '../../src/daemon/desk.ts';
import type { Via } from '../../src/daemon/origin.ts';
import { OctopusError } from '../../src/errors.ts';
import type { Confirmation } from '../../src/flash/gate.ts';
import { modelBoards } from '../../src/methods/boards.ts';
import { METHODS } from '../../src/methods/table.ts';
import type { HeaterReading, PrinterReading } from '../../src/ports/printer.ts';
import { createBench } from '../../src/virtual/bench.ts';
import { forgeKlipper } from '../../src/virtual/forge.ts';
import { PINS } from '../support/bench.ts';

const PAGE = resolve(import.meta.dirname, '../../docs/answers.md');
const BOARD = 'octopus-v1.1-f446';
const nothing = { targetC: 0, temperatureC: 24 };
const extruder = (values: Partial<HeaterReading>): HeaterReading => ({
  name: 'extruder',
  kind: 'extruder',
  ...nothing,
  ...values,
});
const bed = (temperatureC: number): HeaterReading => ({
  name: 'heater_bed',
  kind: 'bed',
  targetC: 0,
  temperatureC,
});

const STATES: Readonly<Record<string, Partial<PrinterReading>>> = {
  'ready, idle and cold': {},
  'ready, printing': { printing: true },
  'ready, paused': { paused: true },
  'ready, moving (homing, levelling, a macro)': { moving: true },
  'ready, a heater target above 0': { heaters: [extruder({ targetC: 60 })] },
  'ready, extruder above 50 C': { heaters: [extruder({ temperatureC: 51 })] },
  'ready, bed above 80 C': { heaters: [bed(81)] },
  'startup, temperatures known': { state: 'startup', temperatureAgeMs: 1000 },
  'error, temperatures known': { state: 'error', temperatureAgeMs: 1000 },
  'error, temperatures unknown or older than 10 minutes': { state: 'error', temperatureAgeMs: 600_000 },
  'shutdown, temperatures known': { state: 'shutdown', temperatureAgeMs: 1000 },
  'shutdown, extruder still above 50 C': {
    state: 'shutdown',
    temperatureAgeMs: 1000,
    heaters: [extruder({ temperatureC: 120 })],
  },
  'no printer (`moonraker: none`)': { state: 'absent', heaters: [] },
  'disconnected, temperatures unknown': { state: 'disconnected', temperatureAgeMs: 600_000 },
};

/** What of the caller has to be confirmed, the least first. */
const CONFIRMS: readonly (readonly Confirmation[])[] = [[], ['still'], ['cold'], ['cold', 'still']];

const bytes = forgeKlipper({ mcu: 'stm32f446xx', linkAddress: 0x0800_8000, version: 'v0.13.0-1-g1234567' });

async function deskIn(reading: Partial<PrinterReading>, isArmed: boolean) {
  const bench = await createBench({ board: BOARD, can: {} });
  bench.printer.reading = reading;
  const desk = new Desk({
    boards: modelBoards(PINS, { heaters: { kind: 'unused' }, onlyBoard: BOARD }),
    kitFor: () => bench,
    images: () => ({ read: async () => ({ kind: 'file', file: { name: 'klipper.bin', bytes } }) }),
    isArmed: async () => isArmed,
    facts: async () => ({ version: '0', isArmed, printers: [] }),
    audit: { request: () => {}, ended: () => {} },
  });
  return { bench, desk };
}

/** What the tables call the methods, and how each is asked. */
const CALLS: Readonly<Record<string, { name: string; params: Readonly<Record<string, unknown>> }>> = {
  flash: { name: METHODS.flash.name, params: { image: 'klipper.bin' } },
  'flash, dry_run': { name: METHODS.flash.name, params: { image: 'klipper.bin', dry_run: true } },
  dfu_enter: { name: METHODS.dfuEnter.name, params: { hold_s: 0 } },
  reset: { name: METHODS.reset.name, params: {} },
  backup: { name: METHODS.backup.name, params: {} },
  'inspect, board': { name: METHODS.inspect.name, params: { board: BOARD } },
  canbus_query: { name: METHODS.canbusQuery.name, params: {} },
};
/** Those of which a sentence says all: how they answer is how another does. */
const ELSEWHERE: ReadonlySet<string> = new Set([METHODS.restore.name, METHODS.repair.name]);
/** Those that ask nothing of the printer's state; every method of the table is in one of the three. */
const ALWAYS = ['backups', 'inspect', 'status', 'doctor', 'job_get', 'job_list', 'job_cancel'];

async function answerTo(
  state: string,
  via: Via,
  isArmed: boolean,
  call: { name: string; params: Readonly<Record<string, unknown>> },
): Promise<string> {
  let last = '';
  for (const confirm of CONFIRMS) {
    const { bench, desk } = await deskIn(STATES[state] ?? {}, isArmed);
    try {
      const takesConfirm = call.name !== METHODS.canbusQuery.name;
      const params = takesConfirm ? { ...call.params, confirm } : call.params;
      const answer = await desk.call(call.name, params, { via, printer: undefined });
      if ('job' in answer) {
        const job = await finished(desk, String(answer.job));
        if (job.error !== undefined) throw new OctopusError(job.error.code, job.error.message, job.error);
      }
      return confirm.length === 0 ? 'yes' : `confirm ${confirm.join(', ')}`;
    } catch (error) {
      last = error instanceof OctopusError ? error.code : String(error);
      if (last !== 'needs-confirmation') return `\`${last}\``;
    } finally {
      bench.dispose();
    }
  }
  return `\`${last}\``;
}

async function finished(desk: Desk, id: string) {
  await Promise.allSettled(desk.jobs.running().map(({ ended }) => ended));
  return desk.jobs.get(id);
}

async function table(via: Via, isArmed: boolean, states = Object.keys(STATES)): Promise<string[]> {
  const names = Object.keys(CALLS);
  const rows = [];
  for (const state of states) {
    const cells = [];
    for (const name of names) cells.push(await answerTo(state, via, isArmed, CALLS[name] ?? never(name)));
    rows.push(`| ${state} | ${cells.join(' | ')} |`);
  }
  return [`| Klipper | ${names.join(' | ')} |`, `|---|${names.map(() => '---|').join('')}`, ...rows];
}

function never(name: string): never {
  throw new Error(name);
}

test('docs/answers.md says what the desk answers', async () => {
  const armed = await table('request', true);
  const unarmed = await table('request', false);
  // From the host's own socket nobody asks for arming, and every guard holds just the same.
  const some = Object.keys(STATES).filter((_, index) => index % 5 === 0);
  const only = (rows: readonly string[]) => rows.filter((_, index) => index < 2 || (index - 2) % 5 === 0);
  expect(await table('local', false, some)).toEqual(only(armed));
  expect(await table('macro', false, some)).toEqual(only(unarmed));
  expect(await table('shell', false, some)).toEqual(only(unarmed));
  const page = [
    '# What is answered when',
    '',
    'Written by `tests/docs/answers.test.ts`, which asks the program itself. `yes`: it is done. `confirm X`: it is done',
    'when the caller adds `confirm: X`, because the printer cannot tell and somebody has to have looked. Anything else is',
    'the code of the refusal; its message and advice say more. Nothing that is refused here has touched the board.',
    'Where nobody has said that HE2 and HE3 are unused (`unused_heaters` in host.conf) and no power device is configured,',
    '`flash`, `backup`, `inspect` of a board, `restore` and `dfu_enter` ask for `confirm: heaters_unplugged` as well. `restore`',
    'answers as `flash`.',
    '`repair` finds that nothing is owed to the board, or answers as `flash` does with `confirm: cold, still`: a board whose',
    'firmware is torn heats and moves nothing.',
    '',
    '## Armed, or asked from the host itself',
    '',
    ...armed,
    '',
    '## Through Moonraker, not armed',
    '',
    ...unarmed,
    '',
    `In every state and without being armed: ${ALWAYS.map((name) => `\`octopus.${name}\``).join(', ')}`.replace(
      /`octopus.inspect`/,
      '$& of a file',
    ) + '.',
    '',
  ].join('\n');
  if (process.env['UPDATE_DOCS'] !== undefined) writeFileSync(PAGE, page);
  expect(readFileSync(PAGE, 'utf8')).toBe(page);
}, 120_000);

test('every method stands on the page', () => {
  const asked = [...Object.values(CALLS).map(({ name }) => name), ...ALWAYS.map((name) => `octopus.${name}`)];
  const all = Object.values(METHODS)
    .filter(({ isLocal, name }) => !isLocal && !ELSEWHERE.has(name))
    .map(({ name }) => name);
  expect(new Set(asked)).toEqual(new Set(all));
});
