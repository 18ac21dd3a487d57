// Speed as tables: `npm run bench`, `npm run bench -- --json`. Nothing here asserts; machines are noisy.
// Device time is virtual: what the chip and the USB bus take by the datasheet and by what real chips were seen to do.
// Wall time is this machine's: what our own code takes.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FileStore } from '../../src/hardware/store.ts';
import type { Store } from '../../src/ports/store.ts';
import { measureDaemon } from './daemon.ts';
import { measureQueries, OTHERS_MS, queryLines } from './query.ts';
import { flashBytes, klipperFor, setUp, type TestBench } from '../support/bench.ts';

const KIB = 1024;
/** DFU 1.1, table 3.2. */
const DNLOAD = 1;
const GETSTATUS = 3;
const { json } = parseArgs({ options: { json: { type: 'boolean', default: false } } }).values;

interface Row {
  readonly board: string;
  readonly what: string;
  /** From the ROM seen on USB to reset released, s. */
  readonly inDfuS: number;
  /** The chip's own erase and program time, s. */
  readonly chipS: number;
  /** inDfuS / chipS; null where the chip did nothing. */
  readonly ratio: number | null;
  /** DNLOAD of data with its GETSTATUS: control transfers a block. A block read is one UPLOAD. */
  readonly perBlockWritten: number | null;
  /** The whole job, virtual s. */
  readonly jobS: number;
  /** The whole job on this machine, ms. */
  readonly wallMs: number;
  readonly virtualPerWall: number;
}

/** Watches one flash: when the ROM came, when reset was released for good, and which transfers were made. */
function observe({ bench }: TestBench) {
  const seen = { romAt: 0, releasedAt: 0, blocks: 0, blockTransfers: 0 };
  bench.usb.onChange(({ kind, device }) => {
    if (kind === 'arrived' && device.productId === 0xdf11) seen.romAt = bench.clock.now();
  });
  bench.lines.onLineChange(({ drive }) => {
    if (drive === 'floating') seen.releasedAt = bench.clock.now();
  });
  // Transfers from one data block to the next; where another command stands between, that block is not counted.
  let sinceBlock: number | undefined;
  bench.faults.beforeTransfer = (_n, { bRequest, wValue }) => {
    const isBlock = bRequest === DNLOAD && wValue >= 2;
    if (isBlock && sinceBlock !== undefined) {
      seen.blocks += 1;
      seen.blockTransfers += sinceBlock;
    }
    if (isBlock) sinceBlock = 1;
    else if (bRequest === GETSTATUS && sinceBlock !== undefined) sinceBlock += 1;
    else sinceBlock = undefined;
    return undefined;
  };
  return seen;
}

async function measure(
  what: string,
  rig: TestBench,
  image: Uint8Array,
  replaceBootloader = false,
): Promise<Row> {
  const { statistics } = rig.bench.flash;
  const chipBefore = statistics.eraseMs + statistics.programMs;
  const seen = observe(rig);
  const startedAt = performance.now();
  const result = await flashBytes(rig, image, { replaceBootloader });
  const wallMs = performance.now() - startedAt;
  const after = rig.bench.flash.statistics;
  const chipS = (after.eraseMs + after.programMs - chipBefore) / 1000;
  const inDfuS = (seen.releasedAt - seen.romAt) / 1000;
  const jobS = (result.timings.total ?? 0) / 1000;
  return {
    board: rig.place.board.name,
    what,
    inDfuS,
    chipS,
    ratio: chipS === 0 ? null : inDfuS / chipS,
    perBlockWritten: seen.blocks === 0 ? null : seen.blockTransfers / seen.blocks,
    jobS,
    wallMs,
    virtualPerWall: (jobS * 1000) / wallMs,
  };
}

async function rowsOf(board: string): Promise<Row[]> {
  const rows: Row[] = [];
  const rig = await setUp({ board });
  const size = 46 * KIB;
  rows.push(
    await measure(
      '46 KiB, first contact: whole flash kept',
      rig,
      klipperFor(rig, { sizeBytes: size, seed: 1 }),
    ),
  );
  rows.push(
    await measure(
      '46 KiB, backup already kept',
      rig,
      klipperFor(rig, { sizeBytes: size, seed: 2, version: 'v0.13.0-2' }),
    ),
  );
  rows.push(
    await measure(
      '46 KiB, the same image again',
      rig,
      klipperFor(rig, { sizeBytes: size, seed: 2, version: 'v0.13.0-2' }),
    ),
  );
  const { flashBase } = rig.place.board.mcu;
  const whole = { linkAddress: flashBase, sizeBytes: 500 * KIB, version: 'v0.13.0-3' };
  rows.push(await measure('500 KiB', rig, klipperFor(rig, { ...whole, seed: 3 }), true));
  const oneSector = klipperFor(rig, { ...whole, seed: 3 });
  rows.push(await measure('500 KiB, the same image again', rig, oneSector, true));
  rig.bench.dispose();
  return rows;
}

/** Our own share: the same flash in virtual time, so that no device is waited for, with a store on the disk. */
async function ownShareMs(board: string): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'octopus-bench-'));
  try {
    const plain = await setUp({ board });
    const { clock } = plain.bench;
    const files = new FileStore(folder);
    const store: Store = {
      read: (key) => clock.hold(files.read(key)),
      write: (key, bytes) => clock.hold(files.write(key, bytes)),
      list: (prefix) => clock.hold(files.list(prefix)),
      remove: (key) => clock.hold(files.remove(key)),
    };
    const rig: TestBench = { ...plain, kit: { ...plain.kit, store } };
    await flashBytes(rig, klipperFor(rig, { sizeBytes: 46 * KIB, seed: 1 }));
    const image = klipperFor(rig, { sizeBytes: 46 * KIB, seed: 2, version: 'v0.13.0-2' });
    const startedAt = performance.now();
    await flashBytes(rig, image);
    const wallMs = performance.now() - startedAt;
    rig.bench.dispose();
    return wallMs;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const boards = ['octopus-v1.1-f446', 'octopus-pro-h723'];
const rows: Row[] = [];
const ownShare: Record<string, number> = {};
for (const board of boards) rows.push(...(await rowsOf(board)));
for (const board of boards) ownShare[board] = await ownShareMs(board);

const daemon = await measureDaemon();
const queries = await measureQueries();
if (json) {
  const query = { rows: queries, othersMs: OTHERS_MS };
  process.stdout.write(`${JSON.stringify({ rows, ownShareMs: ownShare, daemon, query })}\n`);
} else {
  const cells = rows.map((row) => [
    row.board,
    row.what,
    row.inDfuS.toFixed(2),
    row.chipS.toFixed(2),
    row.ratio?.toFixed(2) ?? '-',
    row.perBlockWritten?.toFixed(2) ?? '-',
    row.jobS.toFixed(2),
    row.wallMs.toFixed(0),
    row.virtualPerWall.toFixed(0),
  ]);
  const head = [
    'board',
    'image',
    'in DFU s',
    'chip s',
    'ratio',
    'transfers/block',
    'job s',
    'wall ms',
    'virtual s/wall s',
  ];
  const widths = head.map((name, column) =>
    Math.max(name.length, ...cells.map((row) => row[column]?.length ?? 0)),
  );
  for (const row of [head, ...cells]) {
    process.stdout.write(
      `${row.map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  ')}\n`,
    );
  }
  process.stdout.write(
    '\nin DFU: from the ROM seen on USB to reset released. chip: its own erase and program time.\n',
  );
  for (const [board, ms] of Object.entries(ownShare)) {
    process.stdout.write(
      `our own share of a job of 46 KiB (virtual time, store on disk, the simulator's work included), ${board}: ${ms.toFixed(0)} ms\n`,
    );
  }
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const lines = [
    ['registered at Moonraker after', ms(daemon.registeredMs), 'limit 1500 ms'],
    ['resident when idle', `${daemon.residentMb.toFixed(1)} MB`, 'limit 80 MB'],
    ['CPU when idle', `${daemon.idlePercent.toFixed(2)} % of a core`, 'limit: none to be seen'],
    [
      "an event on a client's socket",
      `${ms(daemon.eventMs.median)}, longest ${ms(daemon.eventMs.longest)}`,
      'limit 50 ms',
    ],
    [
      'answers at 200 calls a second',
      `${ms(daemon.callMs.median)}, 99 % within ${ms(daemon.callMs.p99)}`,
      '',
    ],
    ['a flash under those calls', `${daemon.slowDown.toFixed(3)} times as long`, 'limit 1.10'],
  ];
  process.stdout.write('\nThe daemon on a virtual board, in real time:\n');
  for (const [what = '', figure = '', limit = ''] of lines)
    process.stdout.write(`${what.padEnd(32)} ${figure.padEnd(36)} ${limit}\n`);
  process.stdout.write(`\n${queryLines(queries).join('\n')}\n`);
}
