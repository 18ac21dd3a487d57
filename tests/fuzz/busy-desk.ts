// A daemon's desk for fuzzing its doors: every method is there and its parameters are checked, questions are answered from a
// virtual bench, and what would be a job finds its board busy.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Audit } from '../../src/daemon/audit.ts';
import { Desk, servedTo } from '../../src/daemon/desk.ts';
import { OctopusError } from '../../src/errors.ts';
import type { Logger } from '../../src/log.ts';
import { modelBoards } from '../../src/methods/boards.ts';
import { createBench } from '../../src/virtual/bench.ts';
import type { Json } from './json.ts';
import { holds } from './target.ts';

const BOARD = 'octopus-v1.1-f446';
const PINS = { boot0: 'gpio26', nrst: 'gpio19' };

export interface BusyDesk {
  readonly desk: Desk;
  /** A folder of its own. */
  readonly folder: string;
}

export async function openBusyDesk(): Promise<BusyDesk> {
  const bench = await createBench({ board: BOARD, can: { nodes: [{}] } });
  const folder = mkdtempSync(join(tmpdir(), 'octopus-fuzz-desk-'));
  const log = { error: () => {}, warn: () => {} } as unknown as Logger;
  const locks = {
    acquire: async (name: string): Promise<never> => {
      throw new OctopusError('busy', `another job is at work on ${name}`, { advice: 'Wait for its end.' });
    },
  };
  const desk = new Desk({
    boards: modelBoards(PINS, { heaters: { kind: 'unused' }, onlyBoard: BOARD }),
    kitFor: () => ({ ...bench, locks }),
    images: () => ({
      read: async () => ({ kind: 'file', file: { name: 'klipper.bin', bytes: new Uint8Array(100) } }),
    }),
    isArmed: async () => true,
    facts: async () => ({ version: '0', isArmed: true, printers: [{ name: 'printer', moonraker: 'up' }] }),
    audit: new Audit(join(folder, 'audit.log'), bench.clock, log),
  });
  return { desk, folder };
}

export const METHOD_NAMES = servedTo({ via: 'local' });

/** What clients really ask. */
export const CALLS: readonly (readonly [string, Json])[] = [
  ['octopus.status', {}],
  ['octopus.status', { board: BOARD }],
  [
    'octopus.flash',
    { board: BOARD, image: '/home/pi/klipper.bin', confirm: ['cold', 'still'], dry_run: true },
  ],
  ['octopus.flash', { image: 'build:x', force: 'a,b', replace_bootloader: 'true', verify: 1 }],
  ['octopus.restore', { board: BOARD, backup: 'a1b2c3d4e5f6' }],
  ['octopus.dfu_enter', { hold_s: '30' }],
  ['octopus.reset', { board: BOARD, confirm: 'cold' }],
  ['octopus.canbus_query', { interface: 'can0' }],
  ['octopus.inspect', { image: 'backup:a1b2' }],
  ['octopus.backups', { board: 'octopus-pro-h723' }],
  ['octopus.job_get', { job: '7f3c', after: 3 }],
  ['octopus.job_list', {}],
  ['octopus.job_cancel', { job: '7f3c0000' }],
  ['octopus.doctor', {}],
  ['octopus.lines_release', {}],
];

/** What tells most of several first. */
export const KINDS = ['answered', 'refused', 'no request'] as const;

/**
 * One answer to a request, as JSON-RPC 2.0 wants it: with a result that is an object, or with an error that tells a human
 * what happened. A fault of ours is none. Returns its kind.
 */
export function checkAnswer(answer: unknown): (typeof KINDS)[number] {
  holds(isObject(answer) && answer['jsonrpc'] === '2.0' && 'id' in answer, `no answer: ${show(answer)}`);
  const { result, error } = answer;
  if (error === undefined) {
    holds(isObject(result) || Array.isArray(result), `the result ${show(result)}`);
    return 'answered';
  }
  holds(result === undefined, 'a result beside an error');
  holds(isObject(error) && Number.isInteger(error['code']), `the error ${show(error)}`);
  const { message, data } = error;
  holds(typeof message === 'string' && message !== '' && message.length < 4000, `the words ${show(message)}`);
  if (!isObject(data)) return 'no request';
  holds(data['code'] !== 'internal', `a fault of ours: ${message}`);
  return 'refused';
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** How deep its brackets go. */
export function depthOf(text: string): number {
  let [depth, deepest] = [0, 0];
  for (const [sign] of text.replaceAll(/"(?:[^"\\]|\\.)*("|$)/gs, '').matchAll(/[[\]{}]/g)) {
    depth += sign === '[' || sign === '{' ? 1 : -1;
    deepest = Math.max(deepest, depth);
  }
  return deepest;
}

/** Never by recursion of its own: what is shown may be as deep as it likes. */
export function show(value: unknown): string {
  try {
    return (JSON.stringify(value) ?? String(value)).slice(0, 300);
  } catch (error) {
    return `what cannot be shown: ${String(error)}`;
  }
}
