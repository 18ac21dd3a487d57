// Fuzz: whole talks with a DfuSe ROM over a wire that loses, refuses, cuts and falsifies. A talk ends, asks nobody to wait
// longer than a chip can be busy, and where only answers were lost, what it says that it did is done.
import type { DfuTalk, DfuTransfer, TransferAnswer } from '../../../src/protocol/dfu.ts';
import { settle } from '../../../src/protocol/dfuse-exchange.ts';
import { eraseSector, leave, readRun, writeRun } from '../../../src/protocol/dfuse.ts';
import { talkWith } from '../../protocol/talk.ts';
import { sameBytes } from '../bytes.ts';
import { CHIP, DfuChip } from '../dfu-chip.ts';
import { Random } from '../random.ts';
import { holds, refusalCode, target, type Fate } from '../target.ts';

/** `false`: the status is another one, which no CRC of USB would let through, but a ROM with a fault may say. */
type Spoil = 'stall' | 'timeout' | 'lost-answer' | 'cut' | 'false';

interface Talk {
  readonly kind: 'settle' | 'erase' | 'write' | 'read' | 'leave';
  readonly state: number;
  readonly blockBytes: number;
  readonly pacing: 'held' | 'polled';
  readonly busy: { readonly polls: number; readonly pollMs: number };
  readonly address: number;
  readonly length: number;
  readonly oneIn: number;
  readonly mayLie: boolean;
  readonly seed: number;
}

const CODES = [
  'dfu-status',
  'write-protected',
  'dfu-protocol',
  'usb-timeout',
  'read-protected',
  'flash-unreadable',
] as const;
/** Twice the worst erase of any sector (DS8626, table 40: 4 s), and then some. */
const LONGEST_WAIT_MS = 10_000;

export const dfuTalk = target<Talk>({
  name: 'dfu-talk',
  show: (talk) => new TextEncoder().encode(JSON.stringify(talk)),
  input: (random) => {
    const blockBytes = random.pick([32, 64, 256, 1024]);
    const offset = 32 * random.below(CHIP.sizeBytes / 32);
    return {
      kind: random.pick(['settle', 'erase', 'write', 'write', 'read', 'read', 'leave']),
      state: random.pick([2, 2, 5, 9, 10]),
      blockBytes,
      pacing: random.pick(['held', 'polled']),
      busy: { polls: random.pick([1, 1, 2, 5]), pollMs: random.pick([0, 1, 100, 1000]) },
      address: CHIP.base + offset,
      length: Math.min(CHIP.sizeBytes - offset, random.pick([1, 2, 31, blockBytes, random.below(2048) + 1])),
      oneIn: random.pick([2, 6, 20, 60]),
      mayLie: random.oneIn(2),
      seed: random.next(),
    };
  },
  check: (talk): Fate => {
    const random = new Random(talk.seed);
    const chip = new DfuChip(talk.state, talk.blockBytes, talk.busy);
    chip.flash.set(random.bytes(random.below(CHIP.sizeBytes)));
    try {
      carryOut(talk, chip, random);
      return 'done';
    } catch (error) {
      return refusalCode(error, CODES);
    }
  },
  fates: ['done', 'dfu-status', 'dfu-protocol', 'usb-timeout'],
});

function carryOut(
  { kind, address, length, blockBytes, pacing, oneIn, mayLie }: Talk,
  chip: DfuChip,
  random: Random,
): void {
  const link = { transferSizeBytes: blockBytes, pacing };
  const at = address - CHIP.base;
  const run = <R>(core: DfuTalk<R>): R => {
    const { result, asked } = talkWith(core, (request) => spoilt(chip, request, random, oneIn, mayLie));
    for (const request of asked)
      if (request.kind === 'wait') holds(request.ms <= LONGEST_WAIT_MS, `asks to wait ${request.ms} ms`);
    return result;
  };
  run(settle());
  switch (kind) {
    case 'settle':
      return;
    case 'erase': {
      const sector = at - (at % CHIP.sectorBytes);
      run(eraseSector(link, CHIP.base + sector));
      const erased = chip.flash.subarray(sector, sector + CHIP.sectorBytes);
      holds(mayLie || erased.every((byte) => byte === 0xff), 'a sector that was erased is not blank');
      return;
    }
    case 'write': {
      chip.flash.fill(0xff);
      const bytes = random.bytes(length);
      run(writeRun(link, address, bytes));
      holds(
        mayLie || sameBytes(bytes, chip.flash.subarray(at, at + length)),
        'what was written does not lie there',
      );
      return;
    }
    case 'read': {
      const bytes = run(readRun(link, address, length));
      holds(bytes.length === length, `${bytes.length} of ${length} bytes`);
      holds(
        mayLie || sameBytes(bytes, chip.flash.subarray(at, at + length)),
        'what was read does not lie there',
      );
      return;
    }
    case 'leave':
      run(leave(address));
  }
}

function spoilt(
  chip: DfuChip,
  request: DfuTransfer,
  random: Random,
  oneIn: number,
  mayLie: boolean,
): TransferAnswer {
  if (!random.oneIn(oneIn)) return chip.answer(request);
  const how = random.pick<Spoil>([
    'stall',
    'timeout',
    'lost-answer',
    'cut',
    ...(mayLie ? (['false', 'false'] as const) : []),
  ]);
  // Neither reaches the chip.
  if (how === 'stall' || how === 'timeout') return how;
  const answer = chip.answer(request);
  if (how === 'lost-answer') return 'timeout';
  if (!(answer instanceof Uint8Array)) return answer;
  if (how === 'cut') return answer.slice(0, random.below(answer.length));
  if (answer.length !== 6) return answer;
  const copy = answer.slice();
  for (let changes = random.few(4); changes > 0; changes--) {
    const index = random.below(6);
    copy[index] = random.oneIn(2) ? random.next() : (copy[index] ?? 0) ^ (1 << random.below(8));
  }
  return copy;
}
