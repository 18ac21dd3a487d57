// Hardware, what the system says of a failed call: its errno by name, and the sentences that all adapters share.
import { OctopusError } from '../errors.ts';

/** `EBUSY`, or undefined for what is no system error. */
export function errnoOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

export function textOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error
    ? String(error.message)
    : String(error);
}

/** Used after `close()`: never the user's fault. */
export function usedAfterClose(what: string): OctopusError {
  return new OctopusError('internal', `${what} was used after it was closed`, {
    advice: 'This is a fault of octopus-flasher: please report it.',
  });
}
