// USB DFU 1.1 words: requests, states, status codes, and what a core may ask of its driver.
// Pure: knows no USB library, no timers. Cores are generators that yield a request and get its answer.
import type { ControlSetup } from '../ports/usb.ts';

/** DFU 1.1, table 3.2. */
export const DFU_REQUEST = {
  dnload: 1,
  upload: 2,
  getStatus: 3,
  clrStatus: 4,
  getState: 5,
  abort: 6,
} as const;

/** DFU 1.1, section 6.1.2 "bState". */
export const DFU_STATE = {
  dfuIDLE: 2,
  dfuDNLOADSYNC: 3,
  dfuDNBUSY: 4,
  dfuDNLOADIDLE: 5,
  dfuMANIFESTSYNC: 6,
  dfuMANIFEST: 7,
  dfuMANIFESTWAITRESET: 8,
  dfuUPLOADIDLE: 9,
  dfuERROR: 10,
} as const;

/** DFU 1.1, section 6.1.2 "bStatus", by number. */
const STATUS_NAMES = [
  'OK',
  'errTARGET',
  'errFILE',
  'errWRITE',
  'errERASE',
  'errCHECK_ERASED',
  'errPROG',
  'errVERIFY',
  'errADDRESS',
  'errNOTDONE',
  'errFIRMWARE',
  'errVENDOR',
  'errUSBR',
  'errPOR',
  'errUNKNOWN',
  'errSTALLEDPKT',
];
/** AN3156: the ROM answers errVENDOR to reads and writes while the read protection is on. */
export const STATUS_ERR_VENDOR = 11;
/** errWRITE, errERASE, errCHECK_ERASED, errPROG: the ROM took the request, and its flash did not. */
export const REFUSED_BY_FLASH: ReadonlySet<number> = new Set([3, 4, 5, 6]);

export function statusName(status: number): string {
  return `${STATUS_NAMES[status] ?? 'unknown status'} (${status})`;
}

export function stateName(state: number): string {
  const found = Object.entries(DFU_STATE).find(([, value]) => value === state);
  return found === undefined ? `state ${state}` : found[0];
}

/** One control transfer. */
export type DfuTransfer =
  | {
      readonly kind: 'out';
      readonly setup: ControlSetup;
      readonly data: Uint8Array;
      readonly timeoutMs: number;
    }
  | {
      readonly kind: 'in';
      readonly setup: ControlSetup;
      readonly length: number;
      readonly timeoutMs: number;
    };

/**
 * What a core asks. A `series` is transfers that follow each other without a word of ours between them: the port carries
 * them out in their order (src/ports/usb.ts). `wait` is device-given time (bwPollTimeout), never a guess of ours.
 */
export type DfuRequest =
  | DfuTransfer
  | { readonly kind: 'series'; readonly transfers: readonly DfuTransfer[] }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'progress'; readonly done: number; readonly total: number };

/** `'ok'` answers out; bytes answer in. A STALL and a time-out are answers too. */
export type TransferAnswer = Uint8Array | 'ok' | 'stall' | 'timeout';

/** One answer for each transfer of a series, in its order; `'ok'` for wait and progress. */
export type DfuAnswer = TransferAnswer | readonly TransferAnswer[];

/** A conversation that ends in an `R`. Call it with `yield*`. */
export type DfuTalk<R> = Generator<DfuRequest, R, DfuAnswer>;

export function* ask(transfer: DfuTransfer): DfuTalk<TransferAnswer> {
  const answer = yield transfer;
  return isOne(answer) ? answer : 'timeout';
}

/** Behind a STALL the next ones are sent all the same, behind a time-out they are not and answer `timeout`. */
export function* series(transfers: readonly DfuTransfer[]): DfuTalk<readonly TransferAnswer[]> {
  const answers = yield { kind: 'series', transfers };
  return isOne(answers) ? [] : answers;
}

function isOne(answer: DfuAnswer): answer is TransferAnswer {
  return typeof answer === 'string' || answer instanceof Uint8Array;
}

/** A control transfer that answers at once on a healthy chip; real ones take 1 to 5 ms (real-silicon.md 2). */
export const PROMPT_TIMEOUT_MS = 2_000;

export interface DfuStatus {
  readonly status: number;
  /** How long the device asks to be left alone before the next GETSTATUS, ms. */
  readonly pollTimeoutMs: number;
  readonly state: number;
}

/** GETSTATUS's six bytes (DFU 1.1, section 6.1.2): bStatus, bwPollTimeout[3] little endian, bState, iString. */
export function parseStatus(bytes: Uint8Array): DfuStatus | undefined {
  const [status, low, middle, high, state] = bytes;
  if (bytes.length !== 6 || status === undefined || state === undefined) return undefined;
  return { status, pollTimeoutMs: (low ?? 0) | ((middle ?? 0) << 8) | ((high ?? 0) << 16), state };
}

export function dfuSetup(request: number, value: number): ControlSetup {
  return { type: 'class', recipient: 'interface', request, value, index: 0 };
}
