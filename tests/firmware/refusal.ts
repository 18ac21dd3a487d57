// What a call refuses with, so that tests can look at code, place and advice.
import { OctopusError } from '../../src/errors.ts';

export function refusalOf(call: () => unknown): OctopusError {
  try {
    call();
  } catch (error) {
    if (error instanceof OctopusError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}
