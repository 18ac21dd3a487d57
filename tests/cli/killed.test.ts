// The process killed at every change of a line: what it leaves driven, the next start floats, and the next flash succeeds.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { forgeKlipper } from '../../src/virtual/forge.ts';

jest.setTimeout(120_000);

const octopus = resolve(import.meta.dirname, '../../bin/octopus');
const BOARD = 'octopus-v1.1-f446';
let folder: string;
let image: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'octopus-killed-'));
  image = join(folder, 'klipper.bin');
  writeFileSync(image, forgeKlipper({ mcu: 'stm32f446xx', version: 'v0.13.0-7' }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ending {
  readonly signal: string | null;
  readonly code: number;
  readonly answer: Record<string, unknown>;
}

function run(bench: string, verb: string, args: readonly string[], killAt?: number): Promise<Ending> {
  const env = {
    ...process.env,
    ...(killAt === undefined ? {} : { OCTOPUS_VIRTUAL_KILL_AT: String(killAt) }),
  };
  const all = [verb, '--virtual', BOARD, '--virtual-dir', bench, '--fast', '--json', ...args];
  return new Promise((done) => {
    execFile(octopus, all, { env }, (error, stdout) => {
      const last = stdout.trim().split('\n').at(-1) ?? '';
      done({
        signal: (error?.signal as string | undefined) ?? null,
        code: typeof error?.code === 'number' ? error.code : 0,
        answer: last === '' ? {} : JSON.parse(last),
      });
    });
  });
}

/** What the host's pins hold, whoever set them last: kept beside the virtual flash as a Raspberry Pi keeps it. */
function pins(bench: string): string[] {
  return Object.values(JSON.parse(readFileSync(join(bench, 'levels.json'), 'utf8')).pins);
}

test('killed at each line change of a flash', async () => {
  let leftDriven = 0;
  let n = 1;
  for (; n < 50; n++) {
    const bench = join(folder, `bench-${n}`);
    const killed = await run(bench, 'flash', ['--image', image], n);
    if (killed.signal === null && killed.code === 0) break;
    if (pins(bench).some((drive) => drive !== 'floating')) leftDriven += 1;

    const status = await run(bench, 'status', []);
    expect(status.code).toBe(0);
    expect([n, pins(bench).filter((drive) => drive !== 'floating')]).toEqual([n, []]);

    const again = await run(bench, 'flash', ['--image', image, '--confirm', 'cold,still']);
    expect([n, again.answer]).toMatchObject([n, { state: 'done', verified: true, version: 'v0.13.0-7' }]);
    expect(pins(bench).filter((drive) => drive !== 'floating')).toEqual([]);
  }
  // Reset low, BOOT0 high, both released, reset low and released again; most of them leave a line driven.
  expect(n).toBeGreaterThan(5);
  expect(leftDriven).toBeGreaterThanOrEqual(3);
});
