// ST's DfuSe (AN3156) as a pure conversation: settle, set address, erase, write, read.
// The rhythm of every command: DNLOAD is taken at once; the first GETSTATUS *starts* the work and must say
// dfuDNBUSY; the second says dfuDNLOAD-IDLE and is held by the chip until the work is done (real-silicon.md 2).
import { OctopusError, hex } from '../errors.ts';
import {
  DFU_REQUEST,
  DFU_STATE,
  PROMPT_TIMEOUT_MS,
  STATUS_ERR_VENDOR,
  dfuSetup,
  parseStatus,
  stateName,
  statusName,
  type DfuStatus,
  type DfuTalk,
} from './dfu.ts';

/** AN3156 section 4: the first byte of a DNLOAD with wValue 0. */
const COMMAND_SET_ADDRESS = 0x21;
const COMMAND_ERASE = 0x41;
/** AN3156: data blocks are numbered from 2; address = pointer + (wBlockNum - 2) * wTransferSize. */
const FIRST_DATA_BLOCK = 2;

/**
 * A chip holds a request while its flash works: a 128 KiB erase may take 4 s (DS8626 table 40, x8). F4 and F7 hold the
 * second GETSTATUS; an H743 holds the DNLOAD or the first GETSTATUS, nobody knows which (real-silicon.md 2).
 */
const HELD_TIMEOUT_MS = 10_000;
/** Past this a chip that still says dfuDNBUSY is stuck; twice the worst erase of any sector. */
const STUCK_AFTER_MS = 10_000;
/** dfuERROR, a foreign transfer and a busy spell at most; a healthy chip settles in two rounds. */
const SETTLE_ROUNDS = 8;

/**
 * What is known of the other side.
 * `held`: this chip holds the second GETSTATUS until it is done, so we wait in it. `polled`: wait bwPollTimeout first.
 */
export interface DfuseLink {
  readonly transferSizeBytes: number;
  pacing: 'held' | 'polled';
}

/** Brings the device to dfuIDLE from wherever an earlier session, or its cold start, has left it. */
export function* settle(): DfuTalk<void> {
  let last: DfuStatus | undefined;
  for (let round = 0; round < SETTLE_ROUNDS; round++) {
    last = yield* getStatus();
    if (last === undefined) continue;
    switch (last.state) {
      case DFU_STATE.dfuIDLE:
        return;
      case DFU_STATE.dfuERROR:
        // An F4 starts here (errFIRMWARE): cleared, not reported.
        yield* clearStatus();
        break;
      case DFU_STATE.dfuDNBUSY:
      case DFU_STATE.dfuDNLOADSYNC:
        yield { kind: 'wait', ms: Math.max(last.pollTimeoutMs, 1) };
        break;
      default:
        yield* abort();
    }
  }
  throw protocolError('the device does not come to dfuIDLE', last);
}

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
  // A short request would compute another address, so the tail is read as a short block from its own pointer.
  const whole = length - (length % link.transferSizeBytes);
  for (let at = 0; at < whole; at += link.transferSizeBytes) {
    bytes.set(
      yield* upload(FIRST_DATA_BLOCK + at / link.transferSizeBytes, link.transferSizeBytes, address + at),
      at,
    );
    yield { kind: 'progress', done: at + link.transferSizeBytes, total: length };
  }
  if (whole < length) {
    if (whole > 0) {
      yield* abort();
      yield* setAddress(link, address + whole);
      yield* abort();
    }
    bytes.set(yield* upload(FIRST_DATA_BLOCK, length - whole, address + whole), whole);
    yield { kind: 'progress', done: length, total: length };
  }
  yield* abort();
  return bytes;
}

function* upload(block: number, length: number, address: number): DfuTalk<Uint8Array> {
  const answer = yield {
    kind: 'in',
    setup: dfuSetup(DFU_REQUEST.upload, block),
    length,
    timeoutMs: PROMPT_TIMEOUT_MS,
  };
  if (answer instanceof Uint8Array && answer.length === length) return answer;
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

/** One DNLOAD and the two GETSTATUS that carry it out. */
function* download(
  link: DfuseLink,
  block: number,
  data: Uint8Array,
  what: string,
  address: number,
): DfuTalk<void> {
  const taken = yield {
    kind: 'out',
    setup: dfuSetup(DFU_REQUEST.dnload, block),
    data,
    timeoutMs: HELD_TIMEOUT_MS,
  };
  if (taken !== 'ok')
    throw statusError(`${what}: the device did not take the request`, yield* getStatus(), address);
  const first = yield* getStatus();
  if (first === undefined || first.state === DFU_STATE.dfuERROR) throw statusError(what, first, address);
  if (first.state !== DFU_STATE.dfuDNBUSY) throw protocolError(`${what}: dfuDNBUSY expected`, first);
  yield* finish(link, first, what, address);
}

/** Waits until the work begun by the first GETSTATUS is done. */
function* finish(link: DfuseLink, first: DfuStatus, what: string, address: number): DfuTalk<void> {
  let busy = first;
  let waitedMs = 0;
  let waitFirst = link.pacing === 'polled';
  while (waitedMs <= STUCK_AFTER_MS) {
    if (waitFirst) {
      const ms = Math.max(busy.pollTimeoutMs, 1);
      yield { kind: 'wait', ms };
      waitedMs += ms;
    }
    const next = yield* getStatus();
    if (next === undefined) {
      // The held answer was lost: from here on by the book, bwPollTimeout before each GETSTATUS.
      link.pacing = 'polled';
      waitedMs += STUCK_AFTER_MS / 4;
    } else if (next.state === DFU_STATE.dfuDNLOADIDLE) {
      return;
    } else if (next.state === DFU_STATE.dfuDNBUSY) {
      busy = next;
    } else {
      throw statusError(what, next, address);
    }
    waitFirst = true;
  }
  yield* unstick(what);
}

/**
 * Some H7 ROMs say dfuDNBUSY for ever although the work is done. One CLRSTATUS shows errUNKNOWN, the second dfuIDLE
 * (real-silicon.md 3, betaflight-configurator#1861). The read-back after all writes proves what was really done.
 */
function* unstick(what: string): DfuTalk<void> {
  for (let round = 0; round < 3; round++) {
    yield* clearStatus();
    const status = yield* getStatus();
    if (status?.state === DFU_STATE.dfuIDLE) return;
  }
  throw new OctopusError('usb-timeout', `${what}: the chip stays busy for ever`, {
    advice: 'Reset the board and flash again.',
  });
}

function* getStatus(): DfuTalk<DfuStatus | undefined> {
  const answer = yield {
    kind: 'in',
    setup: dfuSetup(DFU_REQUEST.getStatus, 0),
    length: 6,
    timeoutMs: HELD_TIMEOUT_MS,
  };
  return answer instanceof Uint8Array ? parseStatus(answer) : undefined;
}

/** Chips differ in whether they take CLRSTATUS outside dfuERROR (real-silicon.md 3): its STALL says nothing. */
function* clearStatus(): DfuTalk<void> {
  yield {
    kind: 'out',
    setup: dfuSetup(DFU_REQUEST.clrStatus, 0),
    data: new Uint8Array(0),
    timeoutMs: PROMPT_TIMEOUT_MS,
  };
}

function* abort(): DfuTalk<void> {
  yield {
    kind: 'out',
    setup: dfuSetup(DFU_REQUEST.abort, 0),
    data: new Uint8Array(0),
    timeoutMs: PROMPT_TIMEOUT_MS,
  };
}

function statusError(what: string, status: DfuStatus | undefined, address: number): OctopusError {
  const place = hex(address);
  if (status === undefined) {
    return new OctopusError('usb-timeout', `${what}: the device gives no status`, {
      place,
      advice: 'Check the USB cable and hub, then flash again.',
    });
  }
  if (status.status === STATUS_ERR_VENDOR) {
    return new OctopusError('read-protected', `${what}: the chip is read-protected (errVENDOR)`, {
      place,
      advice:
        'Removing the read protection erases the whole chip, bootloader included; it is never done unasked.',
    });
  }
  return new OctopusError(
    'dfu-status',
    `${what}: ${statusName(status.status)} in ${stateName(status.state)}`,
    {
      place,
      advice:
        'The ROM refused this: the sector may be write-protected, or the address lies outside this chip.',
    },
  );
}

function protocolError(what: string, status: DfuStatus | undefined): OctopusError {
  const seen =
    status === undefined ? 'no status' : `${stateName(status.state)}, ${statusName(status.status)}`;
  return new OctopusError('dfu-protocol', `${what}, got ${seen}`, {
    advice: 'Reset the board and try again; if it stays, report it with the output of --verbose.',
  });
}

function littleEndian(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];
}
