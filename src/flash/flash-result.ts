// What a flash ends with, and what is remembered of it.
import { describe } from '../firmware/write-rules.ts';
import { recognizeAt } from '../firmware/recognize.ts';
import { sha256 } from '../firmware/sha256.ts';
import { bootloaderMemory, type BoardMemory } from './board-memory.ts';
import type { Kit } from './kit.ts';
import { lastGoodMemory } from './last-good.ts';
import type { FlashPlan } from './preflight.ts';
import type { PrinterOutcome } from './printer-verdict.ts';
import type { Written } from './replace-image.ts';
import type { FlashResult } from './report.ts';
import type { Stopwatch } from './stopwatch.ts';

export function planned(plan: FlashPlan, watch: Stopwatch): FlashResult {
  return {
    ...common(plan, watch),
    state: 'planned',
    verified: false,
    bytesWritten: 0,
    sectorsErased: 0,
    previousVersion: null,
    previous: null,
    bootloader: null,
    backup: null,
    boot: null,
    printer: null,
  };
}

export function finished(
  plan: FlashPlan,
  done: Written,
  boot: string,
  printer: PrinterOutcome,
  watch: Stopwatch,
): FlashResult {
  return {
    ...common(plan, watch),
    state: 'done',
    verified: done.verified,
    bytesWritten: done.bytesWritten,
    sectorsErased: done.sectorsErased,
    previousVersion: done.look.before.version,
    previous: describe(done.look.before),
    bootloader: plan.image.address === plan.board.mcu.flashBase ? null : describe(done.look.atBase),
    backup: done.backup,
    boot,
    ...printer,
  };
}

function common(plan: FlashPlan, watch: Stopwatch) {
  return {
    board: plan.board.name,
    image: plan.passport,
    version: plan.passport.version,
    notes: watch.notes,
    expectMs: plan.expectMs,
    timings: watch.timings(),
  };
}

export function flashMemory(
  kit: Pick<Kit, 'clock'>,
  plan: FlashPlan,
  result: FlashResult,
  { look }: Pick<Written, 'look'>,
  before: string | null,
): BoardMemory {
  const { flashBase } = plan.board.mcu;
  const isAtBase = plan.image.address === flashBase;
  return {
    ...lastGoodMemory(plan, look, before),
    ...bootloaderMemory(isAtBase ? recognizeAt(plan.image.bytes, flashBase) : look.atBase),
    lastFlash: {
      date: new Date(kit.clock.date()).toISOString(),
      version: plan.passport.version,
      sha256: sha256(plan.image.bytes),
      sizeBytes: plan.image.bytes.length,
      linkAddress: plan.image.address,
      kind: plan.passport.kind,
      tookMs: result.timings.total ?? 0,
      backup: result.backup?.id ?? null,
    },
  };
}
