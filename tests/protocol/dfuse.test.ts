import { describe, expect, test } from '@jest/globals';
import {
  DFU_REQUEST,
  DFU_STATE,
  parseStatus,
  type DfuTalk,
  type DfuTransfer,
  type TransferAnswer,
} from '../../src/protocol/dfu.ts';
import { settle, type DfuseLink } from '../../src/protocol/dfuse-exchange.ts';
import {
  eraseSector,
  leave,
  readRun,
  removeReadProtection,
  setAddress,
  writeRun,
} from '../../src/protocol/dfuse.ts';
import { statusBytes, talkWith, type Asked } from './talk.ts';

const link = (pacing: DfuseLink['pacing'] = 'held'): DfuseLink => ({ transferSizeBytes: 2048, pacing });
const requestOf = (request: Asked) =>
  request.kind === 'in' || request.kind === 'out' ? request.setup.request : undefined;
const dnloads = (asked: readonly Asked[]) =>
  asked.flatMap((request) =>
    request.kind === 'out' && request.setup.request === DFU_REQUEST.dnload ? [request] : [],
  );
const codeOf = (
  core: DfuTalk<unknown>,
  answer: (request: DfuTransfer, index: number) => TransferAnswer,
): string => {
  try {
    talkWith(core, answer);
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'no error';
};

/** Answers as an F4 does: each DNLOAD is followed by dfuDNBUSY and dfuDNLOAD-IDLE. */
function obedient(): (request: DfuTransfer) => TransferAnswer {
  let polls = 0;
  return (request) => {
    if (request.kind === 'out') {
      if (request.setup.request === DFU_REQUEST.dnload) polls = 0;
      return 'ok';
    }
    if (requestOf(request) === DFU_REQUEST.getStatus) {
      polls += 1;
      return polls === 1 ? statusBytes(DFU_STATE.dfuDNBUSY, 100) : statusBytes(DFU_STATE.dfuDNLOADIDLE);
    }
    return new Uint8Array(request.kind === 'in' ? request.length : 0);
  };
}

describe('settle', () => {
  test.each([
    [
      'cold start of an F4: errFIRMWARE is cleared',
      [statusBytes(10, 0, 10), statusBytes(2)],
      ['getStatus', 'clrStatus', 'getStatus'],
    ],
    ['cold start of an H7: idle at once', [statusBytes(2)], ['getStatus']],
    [
      'an earlier host died in a download',
      [statusBytes(5), statusBytes(2)],
      ['getStatus', 'abort', 'getStatus'],
    ],
    [
      'an earlier host died in an upload',
      [statusBytes(9), statusBytes(2)],
      ['getStatus', 'abort', 'getStatus'],
    ],
  ])('%s', (_story, statuses, expected) => {
    const left = [...statuses];
    const { asked } = talkWith(settle(), (request) =>
      request.kind === 'in' ? (left.shift() ?? 'stall') : 'ok',
    );
    const names = Object.entries(DFU_REQUEST);
    expect(asked.map((request) => names.find(([, value]) => value === requestOf(request))?.[0])).toEqual(
      expected,
    );
  });

  test('a device that never settles is an error, not a loop', () => {
    expect(codeOf(settle(), (request) => (request.kind === 'in' ? statusBytes(10, 0, 10) : 'ok'))).toBe(
      'dfu-protocol',
    );
    expect(codeOf(settle(), () => 'stall')).toBe('dfu-protocol');
    expect(codeOf(settle(), () => 'timeout')).toBe('dfu-protocol');
  });
});

describe('commands, byte for byte as AN3156 4.2 and 4.3 write them', () => {
  test('erase of 0x08008000', () => {
    const { asked } = talkWith(eraseSector(link(), 0x08008000), obedient());
    expect(dnloads(asked).map(({ setup, data }) => [setup.value, ...data])).toEqual([
      [0, 0x41, 0x00, 0x80, 0x00, 0x08],
    ]);
  });

  test('set address 0x08010000', () => {
    const { asked } = talkWith(setAddress(link(), 0x08010000), obedient());
    expect(dnloads(asked).map(({ setup, data }) => [setup.value, ...data])).toEqual([
      [0, 0x21, 0x00, 0x00, 0x01, 0x08],
    ]);
  });

  test('held: the second GETSTATUS is asked at once and given 10 s', () => {
    const { asked } = talkWith(eraseSector(link('held'), 0x08000000), obedient());
    expect(asked.some(({ kind }) => kind === 'wait')).toBe(false);
    expect(asked.flatMap((request) => (request.kind === 'in' ? [request.timeoutMs] : [])).at(-1)).toBe(
      10_000,
    );
  });

  test('polled: bwPollTimeout is waited for first', () => {
    const { asked } = talkWith(eraseSector(link('polled'), 0x08000000), obedient());
    expect(asked.flatMap((request) => (request.kind === 'wait' ? [request.ms] : []))).toEqual([100]);
  });

  test('a bwPollTimeout of hours, by a wrong bit, is not waited for: 10 s at most', () => {
    const waits = (core: DfuTalk<unknown>, answers: TransferAnswer[]): number[] => {
      const { asked } = talkWith(core, (request) =>
        request.kind === 'in' ? (answers.shift() ?? 'stall') : 'ok',
      );
      return asked.flatMap((request) => (request.kind === 'wait' ? [request.ms] : []));
    };
    const hours = statusBytes(4, 0x800064);
    expect(waits(eraseSector(link('polled'), 0x08000000), [hours, statusBytes(5)])).toEqual([10_000]);
    expect(waits(settle(), [hours, statusBytes(2)])).toEqual([10_000]);
  });

  test('a lost held answer switches to bwPollTimeout', () => {
    const shared = link('held');
    const answers: TransferAnswer[] = [statusBytes(4, 100), 'timeout', statusBytes(4, 104), statusBytes(5)];
    const { asked } = talkWith(eraseSector(shared, 0x08000000), (request) =>
      request.kind === 'in' ? (answers.shift() ?? 'stall') : 'ok',
    );
    expect(shared.pacing).toBe('polled');
    expect(asked.flatMap((request) => (request.kind === 'wait' ? [request.ms] : []))).toEqual([100, 104]);
  });
});

describe('what goes to the chip without a word of ours between', () => {
  test('held: DNLOAD and both GETSTATUS', () => {
    const { asked, series } = talkWith(eraseSector(link('held'), 0x08000000), obedient());
    expect(series).toEqual([3]);
    expect(asked.map(requestOf)).toEqual([DFU_REQUEST.dnload, DFU_REQUEST.getStatus, DFU_REQUEST.getStatus]);
  });

  test('polled: DNLOAD and the first GETSTATUS; the second is asked when bwPollTimeout is over', () => {
    const { asked, series } = talkWith(eraseSector(link('polled'), 0x08000000), obedient());
    expect(series).toEqual([2]);
    expect(asked.map((request) => requestOf(request) ?? request.kind)).toEqual([
      DFU_REQUEST.dnload,
      DFU_REQUEST.getStatus,
      'wait',
      DFU_REQUEST.getStatus,
    ]);
  });

  test('a chip that says dfuDNBUSY twice does not hold: it is polled this once, and stays trusted', () => {
    const shared = link('held');
    const answers = [statusBytes(4, 100), statusBytes(4, 104), statusBytes(5)];
    const { asked } = talkWith(eraseSector(shared, 0x08000000), (request) =>
      request.kind === 'in' ? (answers.shift() ?? 'stall') : 'ok',
    );
    expect(asked.flatMap((request) => (request.kind === 'wait' ? [request.ms] : []))).toEqual([104]);
    expect(shared.pacing).toBe('held');
  });

  test('reads: eight blocks, progress once for each eight', () => {
    const { asked, series } = talkWith(readRun(link(), 0x08000000, 10 * 2048), obedient());
    expect(series).toEqual([3, 8, 2]);
    expect(asked.flatMap((request) => (request.kind === 'progress' ? [request.done] : []))).toEqual([
      8 * 2048,
      10 * 2048,
    ]);
  });

  test('what is read lies where it was asked', () => {
    const good = obedient();
    const { result } = talkWith(readRun(link(), 0x08000000, 9 * 2048 + 5), (request) =>
      request.kind === 'in' && request.setup.request === DFU_REQUEST.upload
        ? new Uint8Array(request.length).fill(request.length < 2048 ? 99 : request.setup.value)
        : good(request),
    );
    for (let block = 0; block < 9; block++)
      expect(new Set(result.subarray(block * 2048, (block + 1) * 2048))).toEqual(new Set([block + 2]));
    expect([...result.subarray(9 * 2048)]).toEqual([99, 99, 99, 99, 99]);
  });
});

describe('refusals of the chip', () => {
  test.each([
    ['errTARGET (td-p/341906)', statusBytes(10, 0, 1), 'dfu-status'],
    ['errWRITE: its flash refuses', statusBytes(10, 0, 3), 'write-protected'],
    ['errERASE', statusBytes(10, 0, 4), 'write-protected'],
    ['errPROG', statusBytes(10, 0, 6), 'write-protected'],
    ['errADDRESS', statusBytes(10, 0, 8), 'dfu-status'],
    ['errVENDOR: read protection', statusBytes(10, 0, 11), 'read-protected'],
  ])('%s after dfuDNBUSY', (_name, status, code) => {
    const answers: TransferAnswer[] = [statusBytes(4, 100), status];
    expect(
      codeOf(eraseSector(link(), 0x08000000), (request) =>
        request.kind === 'in' ? (answers.shift() ?? 'stall') : 'ok',
      ),
    ).toBe(code);
  });

  test('a first GETSTATUS that is not dfuDNBUSY means that nothing was begun', () => {
    expect(
      codeOf(eraseSector(link(), 0x08000000), (request) => (request.kind === 'in' ? statusBytes(5) : 'ok')),
    ).toBe('dfu-protocol');
  });

  test('a stalled DNLOAD reports the status behind it', () => {
    expect(
      codeOf(eraseSector(link(), 0x08000000), (request) =>
        request.kind === 'in' ? statusBytes(10, 0, 15) : 'stall',
      ),
    ).toBe('dfu-status');
  });

  test('a stalled DNLOAD is explained by the statuses that came with it: nothing more is asked', () => {
    let asked = 0;
    const code = codeOf(eraseSector(link(), 0x08000000), (request) => {
      asked += 1;
      return request.kind === 'in' ? statusBytes(10, 0, 11) : 'stall';
    });
    expect([code, asked]).toEqual(['read-protected', 3]);
  });

  test('a DNLOAD without an answer: its statuses were not sent, so the chip is asked once more', () => {
    const asked: number[] = [];
    const code = codeOf(eraseSector(link(), 0x08000000), (request) => {
      asked.push(request.setup.request);
      return request.kind === 'in' ? statusBytes(10, 0, 15) : 'timeout';
    });
    expect([code, asked]).toEqual(['dfu-status', [DFU_REQUEST.dnload, DFU_REQUEST.getStatus]]);
  });

  test('no status at all', () => {
    expect(
      codeOf(eraseSector(link(), 0x08000000), (request) => (request.kind === 'in' ? 'timeout' : 'ok')),
    ).toBe('usb-timeout');
  });
});

test('an H7 that stays busy for ever is freed by two CLRSTATUS (betaflight-configurator#1861)', () => {
  let cleared = 0;
  const { asked } = talkWith(eraseSector(link(), 0x08100000), (request) => {
    if (requestOf(request) === DFU_REQUEST.clrStatus) cleared += 1;
    if (request.kind === 'out') return 'ok';
    if (cleared === 0) return statusBytes(4, 1000);
    return cleared === 1 ? statusBytes(10, 0, 14) : statusBytes(2);
  });
  expect(cleared).toBe(2);
  const waited = asked.reduce((sum, request) => sum + (request.kind === 'wait' ? request.ms : 0), 0);
  expect(waited).toBeGreaterThanOrEqual(8_000);
  expect(waited).toBeLessThan(15_000);
});

describe('writing', () => {
  test('whole blocks have rising numbers behind one SET_ADDRESS; the short rest has its own', () => {
    const { asked } = talkWith(writeRun(link(), 0x08008800, new Uint8Array(2 * 2048 + 32)), obedient());
    expect(
      dnloads(asked).map(({ setup, data }) => [setup.value, data.length === 5 ? [...data] : data.length]),
    ).toEqual([
      [0, [0x21, 0x00, 0x88, 0x00, 0x08]],
      [2, 2048],
      [3, 2048],
      [0, [0x21, 0x00, 0x98, 0x00, 0x08]],
      [2, 32],
    ]);
  });

  test('three control transfers a block', () => {
    const { asked } = talkWith(writeRun(link(), 0x08008000, new Uint8Array(23 * 2048)), obedient());
    const transfers = asked.filter(({ kind }) => kind === 'in' || kind === 'out').length;
    expect(transfers).toBe(3 + 23 * 3);
  });

  test('a run shorter than a block', () => {
    const { asked } = talkWith(writeRun(link(), 0x08008000, new Uint8Array(4)), obedient());
    expect(dnloads(asked).map(({ setup, data }) => [setup.value, data.length])).toEqual([
      [0, 5],
      [2, 4],
    ]);
  });

  test('progress never falls and ends at the whole', () => {
    const { asked } = talkWith(writeRun(link(), 0x08008000, new Uint8Array(5000)), obedient());
    const done = asked.flatMap((request) => (request.kind === 'progress' ? [request.done] : []));
    expect(done).toEqual([2048, 4096, 5000]);
  });
});

describe('reading', () => {
  test('an ABORT stands between SET_ADDRESS and the first UPLOAD, and one at the end; one transfer a block', () => {
    const { asked, result } = talkWith(readRun(link(), 0x08000000, 4096), obedient());
    const names = Object.entries(DFU_REQUEST);
    const order = asked.flatMap(
      (request) => names.find(([, value]) => value === requestOf(request))?.[0] ?? [],
    );
    expect(order).toEqual(['dnload', 'getStatus', 'getStatus', 'abort', 'upload', 'upload', 'abort']);
    expect(result).toHaveLength(4096);
  });

  test('a short rest is read from its own pointer as block 2', () => {
    const { asked } = talkWith(readRun(link(), 0x08000000, 2048 + 12), obedient());
    const uploads = asked.flatMap((request) =>
      request.kind === 'in' && request.setup.request === DFU_REQUEST.upload
        ? [[request.setup.value, request.length]]
        : [],
    );
    expect(uploads).toEqual([
      [2, 2048],
      [2, 12],
    ]);
    expect([...(dnloads(asked).at(-1)?.data ?? [])]).toEqual([0x21, 0x00, 0x08, 0x00, 0x08]);
  });

  test.each([0, 1, 3, 7, 8, 10])(
    'a chip that goes silent at block %i: that block is named, whatever came back behind it',
    (silent) => {
      const good = obedient();
      try {
        talkWith(readRun(link(), 0x08020000, 11 * 2048), (request) =>
          requestOf(request) === DFU_REQUEST.upload && request.setup.value === silent + 2
            ? 'timeout'
            : good(request),
        );
        throw new Error('it ended well');
      } catch (error) {
        const place = `0x${(0x08020000 + silent * 2048).toString(16).padStart(8, '0')}`;
        expect(error).toMatchObject({ code: 'flash-unreadable', place });
      }
    },
  );

  test('a block that is refused in the middle of a series: its address, and why', () => {
    const good = obedient();
    let isRefused = false;
    try {
      talkWith(readRun(link(), 0x08000000, 4 * 2048), (request) => {
        if (requestOf(request) === DFU_REQUEST.upload && request.setup.value >= 4) isRefused = true;
        if (!isRefused) return good(request);
        return requestOf(request) === DFU_REQUEST.upload ? 'stall' : statusBytes(10, 0, 8);
      });
      throw new Error('it ended well');
    } catch (error) {
      expect(error).toMatchObject({
        code: 'dfu-status',
        place: '0x08001000',
        message: expect.stringContaining('errADDRESS'),
      });
    }
  });

  test('fewer bytes than asked are not taken for the answer', () => {
    const good = obedient();
    const core = readRun(link(), 0x08000000, 2048);
    expect(
      codeOf(core, (request) =>
        requestOf(request) === DFU_REQUEST.upload ? new Uint8Array(2047) : good(request),
      ),
    ).toBe('dfu-status');
  });
});

test('GETSTATUS bytes: bwPollTimeout is 24 bits, little endian; a wrong length is no status', () => {
  expect(parseStatus(Uint8Array.of(0, 0x68, 0, 0, 4, 0))).toEqual({
    status: 0,
    pollTimeoutMs: 104,
    state: 4,
  });
  expect(parseStatus(Uint8Array.of(0, 0xe8, 0x03, 0, 4, 0))?.pollTimeoutMs).toBe(1000);
  expect(parseStatus(Uint8Array.of(0, 0, 0, 1, 4, 0))?.pollTimeoutMs).toBe(65536);
  expect(parseStatus(Uint8Array.of(0, 0, 0, 0, 4))).toBeUndefined();
});

// real-silicon.md section 4: an F4 says dfuMANIFEST, an H7's GETSTATUS fails.
describe('leave', () => {
  const status = (answer: TransferAnswer) => (request: DfuTransfer) =>
    request.kind === 'out' ? ('ok' as const) : answer;

  test('an empty DNLOAD, then GETSTATUS, which nobody waits 10 s for', () => {
    const { asked } = talkWith(leave(0x08008000), status(statusBytes(DFU_STATE.dfuMANIFEST)));
    expect(asked).toMatchObject([
      { kind: 'out', setup: { request: DFU_REQUEST.dnload, value: 2 }, data: new Uint8Array(0) },
      { kind: 'in', setup: { request: DFU_REQUEST.getStatus }, timeoutMs: 2000 },
    ]);
  });

  test.each<[string, TransferAnswer]>([
    ['F4: dfuMANIFEST', statusBytes(7)],
    ['H7: GETSTATUS stalls', 'stall'],
    ['H7: GETSTATUS is not answered', 'timeout'],
  ])('%s: it has left', (_what, answer) => {
    expect(codeOf(leave(0x08008000), status(answer))).toBe('no error');
  });

  test.each<[string, (request: DfuTransfer) => TransferAnswer, string]>([
    ['an error state', status(statusBytes(10, 0, 14)), 'dfu-status'],
    ['idle', status(statusBytes(2)), 'dfu-status'],
    ['a DNLOAD that is not taken, and no status', () => 'stall', 'usb-timeout'],
  ])('%s: it has not', (_what, answer, code) => {
    expect(codeOf(leave(0x08008000), answer)).toBe(code);
  });
});

describe('removing the read protection', () => {
  const DNBUSY = statusBytes(DFU_STATE.dfuDNBUSY, 100);
  const endingOf = (statuses: readonly TransferAnswer[], taken: TransferAnswer = 'ok') => {
    const left = [...statuses];
    return talkWith(removeReadProtection(), (request) =>
      request.kind === 'in' ? (left.shift() ?? 'timeout') : taken,
    );
  };

  // betaflight-configurator@e1320fe: dfuDNBUSY, then a STALL or no device any more.
  test('one byte, dfuDNBUSY, and then nothing', () => {
    const { result, asked } = endingOf([DNBUSY, 'stall']);
    expect(result).toBe('silent');
    expect(dnloads(asked).map(({ setup, data }) => [setup.value, ...data])).toEqual([[0, 0x92]]);
  });

  test.each<[string, readonly TransferAnswer[], string]>([
    ['the first GETSTATUS is the one that is held for ever', ['timeout'], 'silent'],
    ['busy for as long as it takes', [DNBUSY, DNBUSY, DNBUSY, 'timeout'], 'silent'],
    ['done without a reset', [DNBUSY, statusBytes(DFU_STATE.dfuDNLOADIDLE)], 'done'],
  ])('%s', (_name, statuses, ending) => {
    expect(endingOf(statuses).result).toBe(ending);
  });

  test('a chip that is busy for 32 s (DS8626 table 40) is waited for, and not for ever', () => {
    const busyFor = (ms: number) => Array.from({ length: ms / 100 }, () => DNBUSY);
    expect(endingOf([...busyFor(32_000), 'stall']).result).toBe('silent');
    expect(codeOf(removeReadProtection(), (request) => (request.kind === 'in' ? DNBUSY : 'ok'))).toBe(
      'usb-timeout',
    );
  });

  test('refused', () => {
    const refused = statusBytes(10, 0, 15);
    expect(codeOf(removeReadProtection(), (request) => (request.kind === 'in' ? refused : 'stall'))).toBe(
      'dfu-status',
    );
    expect(codeOf(removeReadProtection(), (request) => (request.kind === 'in' ? refused : 'ok'))).toBe(
      'dfu-status',
    );
  });
});
