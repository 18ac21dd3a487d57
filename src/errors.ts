// The one error class. Everything else may import this file; it imports nothing.

/** How the command line ends: design, "Errors". 0 is done. */
export const EXIT_CODE = { failed: 1, usage: 2, refused: 3, busy: 4 } as const;
export type Outcome = keyof typeof EXIT_CODE;

/**
 * Every code the program can end with, and what kind of ending it is.
 * `refused` means a guard said no and nothing was erased; `usage` that the request itself was wrong.
 */
const OUTCOME_OF = {
  // --- wrong usage or parameters
  'unknown-board': 'usage',
  'unknown-parameter': 'usage',
  'bad-parameter': 'usage',
  'bad-config': 'usage',
  'unknown-backup': 'usage',
  'unknown-profile': 'usage',
  'no-tree': 'usage',
  'unknown-job': 'usage',
  'unknown-method': 'usage',
  'file-unreadable': 'usage',
  // --- refused by a guard, nothing erased
  'config-dropped': 'refused',
  'tree-half-updated': 'refused',
  'wrong-build': 'refused',
  'image-empty': 'refused',
  'image-truncated': 'refused',
  'image-foreign': 'refused',
  'image-too-large': 'refused',
  'image-unknown-kind': 'refused',
  'image-overruns-flash': 'refused',
  'wrong-mcu': 'refused',
  'wrong-address': 'refused',
  'address-behind-nothing': 'refused',
  'bootloader-would-be-lost': 'refused',
  'nothing-would-boot': 'refused',
  'not-a-bootloader': 'refused',
  'deployer-by-dfu': 'refused',
  'deployer-refused': 'refused',
  'wrong-transport': 'refused',
  'can-bitrate': 'refused',
  'gate-closed': 'refused',
  'needs-confirmation': 'refused',
  'not-armed': 'refused',
  'backup-damaged': 'refused',
  'not-read-protected': 'refused',
  // --- somebody else is at it
  busy: 'busy',
  'build-busy': 'busy',
  // --- failed
  'tools-missing': 'failed',
  'build-failed': 'failed',
  'no-daemon': 'failed',
  'no-hardware': 'failed',
  'no-device': 'failed',
  'device-was-there-before': 'failed',
  'device-came-elsewhere': 'failed',
  'two-boards-alike': 'failed',
  'device-gone': 'failed',
  'usb-timeout': 'failed',
  'katapult-wedged': 'failed',
  'dfu-protocol': 'failed',
  'dfu-status': 'failed',
  'dfu-too-long': 'failed',
  'flash-unreadable': 'failed',
  'read-protected': 'failed',
  'write-protected': 'failed',
  'bad-descriptor': 'failed',
  'verify-failed': 'failed',
  'no-boot': 'failed',
  'wrong-version': 'failed',
  'wrong-device': 'failed',
  'printer-unreachable': 'failed',
  'store-failed': 'failed',
  'lines-stuck': 'failed',
  cancelled: 'failed',
  internal: 'failed',
} as const satisfies Record<string, Outcome>;
export type ErrorCode = keyof typeof OUTCOME_OF;

export function isErrorCode(word: unknown): word is ErrorCode {
  return typeof word === 'string' && Object.hasOwn(OUTCOME_OF, word);
}

export interface ErrorDetails {
  /** What the user should do now. */
  advice: string;
  /** Where: an address, a register, file:line, a bus path. */
  place?: string;
  /** What is on the board now, in words, once anything on it may have changed. */
  onBoard?: string;
  cause?: unknown;
}

/**
 * Trouble that reaches the user: a stable `code`, a sentence, the place, the cure, and what the board holds now.
 * Answers that a protocol expects (a STALL, a time-out, a NACK) are values, never exceptions.
 */
export class OctopusError extends Error {
  readonly code: ErrorCode;
  readonly advice: string;
  readonly place: string | undefined;
  /** Filled in on the way up by whoever knows; see `src/flash/flash.ts`. */
  onBoard: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'OctopusError';
    this.code = code;
    this.advice = details.advice;
    this.place = details.place;
    this.onBoard = details.onBoard;
  }

  get outcome(): Outcome {
    return OUTCOME_OF[this.code];
  }

  toJSON(): { code: ErrorCode; message: string; advice: string; place?: string; onBoard?: string } {
    return {
      code: this.code,
      message: this.message,
      advice: this.advice,
      ...(this.place === undefined ? {} : { place: this.place }),
      ...(this.onBoard === undefined ? {} : { onBoard: this.onBoard }),
    };
  }
}

/** An address as datasheets, dfu-util and Klipper print it: `0x08008000`. */
export function hex(address: number): string {
  return `0x${address.toString(16).padStart(8, '0')}`;
}

/** Any thrown thing as an OctopusError; what is not one is a fault of ours and says so. */
export function asOctopusError(thrown: unknown): OctopusError {
  if (thrown instanceof OctopusError) return thrown;
  // Not `instanceof Error`: errors of another realm (a test runner's, a worker's) are errors too.
  const { name, message } = describeThrown(thrown);
  if (name === 'AbortError') {
    return new OctopusError('cancelled', 'cancelled', {
      advice: 'Start it again when you are ready.',
      cause: thrown,
    });
  }
  return new OctopusError('internal', `internal error: ${message}`, {
    advice: 'This is a fault of octopus-flasher: please report it with the output of --verbose.',
    cause: thrown,
  });
}

function describeThrown(thrown: unknown): { name: string; message: string } {
  if (typeof thrown !== 'object' || thrown === null) return { name: '', message: String(thrown) };
  const name = 'name' in thrown ? String(thrown.name) : '';
  return { name, message: 'message' in thrown ? String(thrown.message) : name };
}

/** Nobody misspells a longer word than this; a longer text is compared with nothing. */
const MAX_LETTERS = 64;

/** The nearest of `words`, or undefined when none is near: at most a third of the letters may differ. */
export function nearest(given: string, words: readonly string[]): string | undefined {
  if (given.length > MAX_LETTERS) return undefined;
  let best: string | undefined;
  let bestDistance = Math.ceil(given.length / 3) + 1;
  for (const word of words) {
    const distance = editDistance(given.toLowerCase(), word.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [word, distance];
  }
  return best;
}

/** Levenshtein: letters to put in, take out or replace. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, replaced));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
