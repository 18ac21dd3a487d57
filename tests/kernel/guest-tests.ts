// Test files of this checkout, run in a guest: each test is the same function that jest runs on the host.
import { NODE, type Guest, type RunOptions } from './guest.ts';

/**
 * @param file from the checkout's root. Its lines of src/hardware count as executed.
 * @returns how many passed; a failed one, or none at all, is an error with the whole output.
 */
export async function testsInGuest(guest: Guest, file: string, options: RunOptions = {}): Promise<number> {
  const outcome = await guest.run(
    [
      NODE,
      '--disable-warning=ExperimentalWarning',
      '--import',
      './tests/kernel/in-guest.ts',
      '--test-reporter=tap',
      file,
    ],
    { coverage: true, timeoutMs: 240_000, ...options },
  );
  const passed = Number(/^# pass (\d+)$/m.exec(outcome.stdout)?.[1] ?? 0);
  if (outcome.code !== 0 || passed === 0)
    throw new Error(`${file} in the guest: code ${outcome.code}\n${outcome.stdout}\n${outcome.stderr}`);
  return passed;
}
