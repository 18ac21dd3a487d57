// Hardware, what the system says of a failed call: its errno by name, and the sentences that all adapters share.
import { getSystemErrorMessage, getSystemErrorName } from 'node:util';
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

/** As Node's own: `EBUSY: resource busy or locked, ioctl`, with `code`. */
export function systemError(call: string, errno: number): Error {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${code}: ${getSystemErrorMessage(-errno)}, ${call}`), {
    code,
    syscall: call,
  });
}

/** Used after `close()`: never the user's fault. */
export function usedAfterClose(what: string): OctopusError {
  return new OctopusError('internal', `${what} was used after it was closed`, {
    advice: 'This is a fault of octopus-flasher: please report it.',
  });
}
