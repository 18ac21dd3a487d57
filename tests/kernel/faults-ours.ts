// In the guest: an error as the user gets it. One that is not ours fails the test with its own words.
import { errnoOf, textOf } from '../../src/hardware/system-error.ts';
import { OctopusError } from '../../src/errors.ts';

export interface Said {
  readonly code: string;
  readonly message: string;
  readonly advice: string;
  readonly place: string | undefined;
}

/** What the work ends with; printed, so that whoever runs the suite by hand reads the sentences. */
export async function ours(work: Promise<unknown>): Promise<Said> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof OctopusError))
    throw new Error(
      error === undefined ? 'it went well' : `not ours: ${errnoOf(error) ?? ''} ${textOf(error)}`,
      { cause: error },
    );
  const { code, message, advice, place } = error;
  process.stdout.write(`said ${code}: ${message}\n     ${advice}\n`);
  return { code, message, advice, place };
}
