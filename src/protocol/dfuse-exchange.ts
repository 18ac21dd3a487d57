// One DfuSe exchange: a DNLOAD and the two GETSTATUS that carry it out; settling; and what the chip's refusals mean.
// The rhythm: DNLOAD is taken at once; the first GETSTATUS *starts* the work and must say dfuDNBUSY; the second says
// dfuDNLOAD-IDLE and is held by the chip until the work is done (real-silicon.md 2).
import { OctopusError, hex } from '../errors.ts';
import {
  DFU_REQUEST,
  DFU_STATE,
  PROMPT_TIMEOUT_MS,
  REFUSED_BY_FLASH,
  STATUS_ERR_VENDOR,
  ask,
  dfuSetup,
  parseStatus,
  series,
  stateName,
  statusName,
  type DfuStatus,
  type DfuTalk,
  type DfuTransfer,
  type TransferAnswer,
} from './dfu.ts';

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
        yield { kind: 'wait', ms: politeMs(last) };
        break;
      default:
        yield* abort();
    }
  }
  throw protocolError('the device does not come to dfuIDLE', last);
}

const GET_STATUS: DfuTransfer = {
  kind: 'in',
  setup: dfuSetup(DFU_REQUEST.getStatus, 0),
  length: 6,
  timeoutMs: HELD_TIMEOUT_MS,
};

/**
 * One DNLOAD and the two GETSTATUS that carry it out, on their way together: the chip sees what a host shows it that asks
 * as fast as it can (comma.ai's panda does, real-silicon.md 2), and nobody's processor stands between them.
 */
export function* download(
  link: DfuseLink,
  block: number,
  data: Uint8Array,
  what: string,
  address: number,
): DfuTalk<void> {
  const [taken, ...told] = yield* series([
    { kind: 'out', setup: dfuSetup(DFU_REQUEST.dnload, block), data, timeoutMs: HELD_TIMEOUT_MS },
    GET_STATUS,
    ...(link.pacing === 'held' ? [GET_STATUS] : []),
  ]);
  const [first, second] = told.map(statusIn);
  if (taken !== 'ok') {
    // Behind a STALL they say why. Behind a time-out they were not sent, and the chip may have found itself.
    const why = first ?? second ?? (yield* getStatus());
    throw statusError(`${what}: the device did not take the request`, why, address);
  }
  if (first === undefined || first.state === DFU_STATE.dfuERROR) throw statusError(what, first, address);
  if (first.state !== DFU_STATE.dfuDNBUSY) throw protocolError(`${what}: dfuDNBUSY expected`, first);
  yield* finish(link, first, second, what, address);
}

/** Waits until the work begun by the first GETSTATUS is done. `second` was asked at once, if the chip holds it. */
function* finish(
  link: DfuseLink,
  first: DfuStatus,
  second: DfuStatus | undefined,
  what: string,
  address: number,
): DfuTalk<void> {
  let busy = first;
  let next = second;
  let isAsked = link.pacing === 'held';
  let waitedMs = 0;
  while (waitedMs <= STUCK_AFTER_MS) {
    if (!isAsked) {
      const ms = politeMs(busy);
      yield { kind: 'wait', ms };
      waitedMs += ms;
      next = yield* getStatus();
    }
    isAsked = false;
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
  }
  yield* unstick(what);
}

/** bwPollTimeout has 24 bits, so that one wrong bit asks for hours: no work of a chip takes longer than its worst erase. */
function politeMs({ pollTimeoutMs }: DfuStatus): number {
  return Math.min(Math.max(pollTimeoutMs, 1), STUCK_AFTER_MS);
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

export function* getStatus(timeoutMs = HELD_TIMEOUT_MS): DfuTalk<DfuStatus | undefined> {
  return statusIn(yield* ask({ ...GET_STATUS, timeoutMs }));
}

function statusIn(answer: TransferAnswer): DfuStatus | undefined {
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

export function* abort(): DfuTalk<void> {
  yield {
    kind: 'out',
    setup: dfuSetup(DFU_REQUEST.abort, 0),
    data: new Uint8Array(0),
    timeoutMs: PROMPT_TIMEOUT_MS,
  };
}

/** AN3156 has no command for it. */
export const WRITE_PROTECTION_CURE =
  'Most likely the sector is write-protected. Take the protection away with STM32CubeProgrammer (option bytes, write protection, over USB in DFU mode or by ST-Link), then flash again.';

export function statusError(what: string, status: DfuStatus | undefined, address: number): OctopusError {
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
        'Nothing on it can be read, so nothing can be kept. Removing the protection erases the whole chip, bootloader included, for good; it is done only when asked for by name, on the host: octopus unprotect --confirm erase_everything.',
    });
  }
  if (REFUSED_BY_FLASH.has(status.status)) {
    return new OctopusError(
      'write-protected',
      `${what}: the flash refuses it (${statusName(status.status)})`,
      {
        place,
        advice: WRITE_PROTECTION_CURE,
      },
    );
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

/**
 * The chip went silent in a read: an H7 whose flash word was torn by a power cut faults on its ECC and needs a reset.
 * The sector can still be erased.
 */
export function unreadable(address: number): OctopusError {
  return new OctopusError('flash-unreadable', `the chip stopped answering while ${hex(address)} was read`, {
    place: hex(address),
    advice: 'Flash again. If it stops at the same address after a successful erase, the flash is worn.',
  });
}

function protocolError(what: string, status: DfuStatus | undefined): OctopusError {
  const seen =
    status === undefined ? 'no status' : `${stateName(status.state)}, ${statusName(status.status)}`;
  return new OctopusError('dfu-protocol', `${what}, got ${seen}`, {
    advice: 'Reset the board and try again; if it stays, report it with the output of --verbose.',
  });
}
