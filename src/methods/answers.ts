// Methods: results as they leave the program: addresses as datasheets write them, what matters first.
import { hex } from '../errors.ts';
import type { Passport } from '../firmware/passport.ts';
import type { BackupRecord } from '../flash/backup.ts';
import type { Reason, Surveyed } from '../flash/backup-survey.ts';
import type { FlashResult } from '../flash/report.ts';

const hexOrNull = (address: number | null) => (address === null ? null : hex(address));

export function passportAnswer(passport: Passport) {
  return {
    kind: passport.kind,
    linkAddress: hexOrNull(passport.linkAddress),
    mcu: passport.mcu,
    version: passport.version,
    transport: passport.transport,
    canFrequency: passport.canFrequency,
    sizeBytes: passport.sizeBytes,
    sha256: passport.sha256,
    launchAddress: hexOrNull(passport.launchAddress),
    format: passport.format,
    containerAddress: hexOrNull(passport.containerAddress),
    programBytes: passport.programBytes,
    clockFrequency: passport.clockFrequency,
    initialStackPointer: hex(passport.initialStackPointer),
    resetVector: hex(passport.resetVector),
    name: passport.name,
  };
}
export type PassportAnswer = ReturnType<typeof passportAnswer>;

export function flashAnswer(result: FlashResult) {
  const { image, state, board, verified, bytesWritten, sectorsErased, previousVersion, previous, version } =
    result;
  return {
    state,
    board,
    verified,
    bytesWritten,
    sectorsErased,
    previousVersion,
    previous,
    version,
    linkAddress: hexOrNull(image.linkAddress ?? image.containerAddress),
    bootloader: result.bootloader,
    backup: result.backup,
    boot: result.boot,
    printer: result.printer,
    ...(result.printerReason === undefined ? {} : { printerReason: result.printerReason }),
    notes: result.notes,
    timings: result.timings,
    expectMs: result.expectMs,
    image: passportAnswer(image),
  };
}
export type FlashAnswer = ReturnType<typeof flashAnswer>;

export function backupAnswer(record: BackupRecord) {
  return { ...record, address: hex(record.address) };
}

/** @param isLast whether `octopus restore last` takes it */
export function surveyAnswer(one: Surveyed, reasons: readonly Reason[], isLast: boolean) {
  const { record, holds, refusal } = one;
  return {
    ...backupAnswer(record),
    holds,
    isLast,
    /** Why it is never deleted to make room; empty: it goes once it is old. */
    keptBecause: reasons,
    /** What a restore of all of it would be refused with. */
    refused: refusal === undefined ? null : { code: refusal.code, message: refusal.message },
  };
}
export type SurveyAnswer = ReturnType<typeof surveyAnswer>;
