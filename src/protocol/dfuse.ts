// ST's DfuSe commands (AN3156) as pure conversations: set address, erase a sector, write a run, read a run.
// One DNLOAD with its two GETSTATUS is in dfuse-exchange.ts.
import { OctopusError, hex } from '../errors.ts';
import {
  DFU_REQUEST,
  DFU_STATE,
  PROMPT_TIMEOUT_MS,
  ask,
  dfuSetup,
  series,
  type DfuTalk,
  type DfuTransfer,
  type TransferAnswer,
} from './dfu.ts';
import { abort, download, getStatus, statusError, unreadable, type DfuseLink } from './dfuse-exchange.ts';

/** AN3156 section 4: the first byte of a DNLOAD with wValue 0. */
const COMMAND_SET_ADDRESS = 0x21;
const COMMAND_ERASE = 0x41;
/** AN3156 4.4. */
const COMMAND_READ_UNPROTECT = 0x92;
/** Erasing 1 MiB by bytes takes 32 s at worst (DS8626 table 40). */
const MASS_ERASE_WORST_MS = 40_000;
/** AN3156: data blocks are numbered from 2; address = pointer + (wBlockNum - 2) * wTransferSize. */
const FIRST_DATA_BLOCK = 2;
/** AN3156 sections 3.1 and 3.2: reads and writes are of 2 to wTransferSize bytes. */
const MIN_TRANSFER_BYTES = 2;
/** Blocks on their way at once in a read: the wire waits for us once in so many, and progress still flows. */
const READ_AHEAD_BLOCKS = 8;

/** AN3156 4.2. Throws `read-protected` where the chip refuses every address, `dfu-status` elsewhere. */
export function* setAddress(link: DfuseLink, address: number): DfuTalk<void> {
  yield* command(
    link,
    [COMMAND_SET_ADDRESS, ...littleEndian(address)],
    `set address ${hex(address)}`,
    address,
  );
}

/** Erases the sector that starts at `address` (AN3156 4.3). The device must be idle. */
export function* eraseSector(link: DfuseLink, address: number): DfuTalk<void> {
  yield* command(link, [COMMAND_ERASE, ...littleEndian(address)], `erase sector ${hex(address)}`, address);
}

/**
 * Writes `bytes` from `address` on: one SET_ADDRESS, then whole blocks with rising numbers, three transfers each.
 * A short last block would be placed by its own length (AN2662: "wTransferSize is the length of the requested data
 * buffer"), so it gets its own SET_ADDRESS and number 2. Lengths must suit the chip's words: the caller pads.
 */
export function* writeRun(link: DfuseLink, address: number, bytes: Uint8Array): DfuTalk<void> {
  const whole = bytes.length - (bytes.length % link.transferSizeBytes);
  if (whole > 0) {
    yield* setAddress(link, address);
    for (let at = 0; at < whole; at += link.transferSizeBytes) {
      const block = FIRST_DATA_BLOCK + at / link.transferSizeBytes;
      const data = bytes.subarray(at, at + link.transferSizeBytes);
      yield* download(link, block, data, `write at ${hex(address + at)}`, address + at);
      yield { kind: 'progress', done: at + data.length, total: bytes.length };
    }
  }
  if (whole < bytes.length) {
    yield* setAddress(link, address + whole);
    const tail = bytes.subarray(whole);
    yield* download(link, FIRST_DATA_BLOCK, tail, `write at ${hex(address + whole)}`, address + whole);
    yield { kind: 'progress', done: bytes.length, total: bytes.length };
  }
}

/**
 * Reads `length` bytes from `address` on, one transfer a block. UPLOAD stalls in dfuDNLOAD-IDLE, so an ABORT
 * stands between SET_ADDRESS and the first block. Ends in dfuIDLE. A refused block is `dfu-status`.
 */
export function* readRun(link: DfuseLink, address: number, length: number): DfuTalk<Uint8Array> {
  yield* setAddress(link, address);
  yield* abort();
  const bytes = new Uint8Array(length);
  const block = link.transferSizeBytes;
  // A short request would compute another address, so the tail is read as a short block from its own pointer.
  const whole = length - (length % block);
  for (let at = 0; at < whole;) {
    const count = Math.min(READ_AHEAD_BLOCKS, (whole - at) / block);
    const first = FIRST_DATA_BLOCK + at / block;
    const answers = yield* series(Array.from({ length: count }, (_, index) => upload(first + index, block)));
    // Behind the first answer that is not whole the others mean nothing.
    for (let index = 0; index < count; index++, at += block)
      bytes.set(yield* expectWhole(answers[index] ?? 'timeout', block, address + at), at);
    yield { kind: 'progress', done: at, total: length };
  }
  if (whole < length) {
    if (whole > 0) {
      yield* abort();
      yield* setAddress(link, address + whole);
      yield* abort();
    }
    // AN3156 3.1: a read is of 2 bytes at least; the neighbour of a lone last byte is thrown away.
    const rest = length - whole;
    const least = Math.max(rest, MIN_TRANSFER_BYTES);
    const tail = yield* expectWhole(yield* ask(upload(FIRST_DATA_BLOCK, least)), least, address + whole);
    bytes.set(tail.subarray(0, rest), whole);
    yield { kind: 'progress', done: length, total: length };
  }
  yield* abort();
  return bytes;
}

/**
 * Starts what the pointer was set to: a zero-length DNLOAD, carried out by the GETSTATUS behind it (AN3156, "Leave DFU
 * mode"). An F4 answers dfuMANIFEST; an H7 stalls or is gone already (real-silicon.md 4). All of these are success, and
 * only an answer that names an error is none: throws `dfu-status`, `dfu-protocol`.
 */
export function* leave(address: number): DfuTalk<void> {
  const taken = yield* ask({
    kind: 'out',
    setup: dfuSetup(DFU_REQUEST.dnload, FIRST_DATA_BLOCK),
    data: new Uint8Array(0),
    timeoutMs: PROMPT_TIMEOUT_MS,
  });
  const status = yield* getStatus(PROMPT_TIMEOUT_MS);
  if (status === undefined && taken === 'ok') return;
  if (status?.state === DFU_STATE.dfuMANIFEST || status?.state === DFU_STATE.dfuMANIFESTSYNC) return;
  throw statusError(`start ${hex(address)}`, status, address);
}

/**
 * Erases the whole chip and with that ends its read protection (AN3156 4.4): the chip resets itself then. No answer any
 * more, a STALL or a lost device is how that looks, and the caller waits until it is off the bus. Resolves at once when
 * the chip says by itself that it is done. Throws `dfu-status`, `dfu-protocol`, `usb-timeout`.
 */
export function* removeReadProtection(): DfuTalk<'done' | 'silent'> {
  const what = 'remove the read protection';
  const taken = yield* ask({
    kind: 'out',
    setup: dfuSetup(DFU_REQUEST.dnload, 0),
    data: Uint8Array.of(COMMAND_READ_UNPROTECT),
    timeoutMs: MASS_ERASE_WORST_MS,
  });
  if (taken === 'timeout') return 'silent';
  // The first GETSTATUS starts it, and may be the one that is never answered.
  const first = yield* getStatus(MASS_ERASE_WORST_MS);
  if (taken === 'stall') throw statusError(`${what}: the device did not take the request`, first, 0);
  if (first === undefined) return 'silent';
  if (first.state === DFU_STATE.dfuERROR) throw statusError(what, first, 0);
  let busy = first;
  for (let waitedMs = 0; waitedMs <= MASS_ERASE_WORST_MS;) {
    if (busy.state !== DFU_STATE.dfuDNBUSY) return 'done';
    const ms = Math.max(busy.pollTimeoutMs, 1);
    yield { kind: 'wait', ms };
    waitedMs += ms;
    const next = yield* getStatus(MASS_ERASE_WORST_MS);
    if (next === undefined) return 'silent';
    if (next.state === DFU_STATE.dfuERROR) throw statusError(what, next, 0);
    busy = next;
  }
  throw new OctopusError('usb-timeout', `${what}: the chip stays busy for ever`, {
    advice: 'Switch the board off and on, then look at it: octopus inspect --board.',
  });
}

function upload(block: number, length: number): DfuTransfer {
  return {
    kind: 'in',
    setup: dfuSetup(DFU_REQUEST.upload, block),
    length,
    timeoutMs: PROMPT_TIMEOUT_MS,
  };
}

function* expectWhole(answer: TransferAnswer, length: number, address: number): DfuTalk<Uint8Array> {
  if (answer instanceof Uint8Array && answer.length === length) return answer;
  if (answer === 'timeout') throw unreadable(address);
  const what =
    answer instanceof Uint8Array
      ? `${answer.length} of ${length} bytes`
      : answer === 'ok'
        ? 'nothing'
        : answer;
  throw statusError(`read at ${hex(address)} was answered with ${what}`, yield* getStatus(), address);
}

function* command(link: DfuseLink, bytes: number[], what: string, address: number): DfuTalk<void> {
  yield* download(link, 0, Uint8Array.from(bytes), what, address);
}

function littleEndian(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];
}
