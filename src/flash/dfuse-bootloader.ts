// The STM32 ROM as a Bootloader: opens the USB device, checks what it is, and lets the pure DfuSe core talk to it.
import { romOf } from '../boards/boards.ts';
import type { Mcu } from '../boards/types.ts';
import { OctopusError, type ErrorCode } from '../errors.ts';
import type { WritePlan } from '../firmware/plan.ts';
import { describeDfu } from '../protocol/dfu-descriptor.ts';
import type { DfuAnswer, DfuRequest, DfuTalk, DfuTransfer, TransferAnswer } from '../protocol/dfu.ts';
import { settle, type DfuseLink } from '../protocol/dfuse-exchange.ts';
import {
  eraseSector,
  leave,
  readRun,
  removeReadProtection,
  setAddress,
  writeRun,
} from '../protocol/dfuse.ts';
import type { Recorder, Step } from '../ports/recorder.ts';
import type { UsbDeviceInfo, UsbDfuDevice } from '../ports/usb.ts';
import type { Bootloader } from './bootloader.ts';
import { converse } from './converse.ts';
import { identifyChip } from './identity.ts';
import type { Kit } from './kit.ts';
import { openPatiently } from './open-patiently.ts';

/** Throws `wrong-mcu`, `bad-descriptor`, `device-gone`, `no-hardware`; the device is closed then. */
export async function openDfuseBootloader(
  kit: Pick<Kit, 'usb' | 'clock' | 'recorder'>,
  info: UsbDeviceInfo,
  mcu: Mcu,
): Promise<Bootloader> {
  const rom = romOf(mcu);
  const device = await openPatiently(kit, () => kit.usb.openDfu(info));
  try {
    const talk = async <R>(core: DfuTalk<R>, onProgress?: (done: number) => void): Promise<R> => {
      const { perform, tell } = performer(kit, device, onProgress);
      const result = await converse(core, perform);
      tell();
      return result;
    };
    const description = await talk(describeDfu());
    await talk(settle());
    const link: DfuseLink = {
      transferSizeBytes: description.transferSizeBytes,
      pacing: rom.holdsGetStatus ? 'held' : 'polled',
    };
    const identity = await identifyChip(
      mcu,
      info,
      description,
      (address, length) => talk(readRun(link, address, length)),
      () => talk(settle()),
    );
    return {
      kind: 'rom',
      identity,
      read: async (address, length, onBytes) => {
        await talk(settle());
        return talk(readRun(link, address, length), onBytes);
      },
      write: async (plan, hooks) => {
        await talk(settle());
        const nextStep = recordAhead(kit.recorder, stepsOf(plan));
        const eraseTotal = plan.erase.reduce((sum, sector) => sum + sector.sizeBytes, 0);
        let erased = 0;
        const tellErased = (): void => hooks.erasing(erased, eraseTotal);
        tellErased();
        for (const sector of plan.erase) {
          await nextStep();
          await meanwhile(talk(eraseSector(link, sector.address)), erased === 0 ? () => {} : tellErased);
          erased += sector.sizeBytes;
          await hooks.erased?.(sector);
        }
        const writeTotal = plan.write.reduce((sum, run) => sum + run.bytes.length, 0);
        let written = 0;
        const tellWritten = (done: number): void => hooks.writing(written + done, writeTotal);
        for (const run of plan.write) {
          await nextStep();
          await meanwhile(talk(writeRun(link, run.address, run.bytes), tellWritten), () => {
            if (written === 0) tellErased();
            tellWritten(0);
          });
          written += run.bytes.length;
        }
        if (written === 0) tellErased();
      },
      boot: async (address) => {
        await talk(settle());
        try {
          await talk(setAddress(link, address));
        } catch (error) {
          // A read-protected chip takes none; without one its pointer is the flash's start (AN2662 4.4.1).
          if (!isCode(error, 'read-protected')) throw error;
          await talk(settle());
        }
        try {
          await talk(leave(address));
        } catch (error) {
          // An H7 is off the bus before it answers.
          if (!isCode(error, 'device-gone')) throw error;
        }
      },
      removeReadProtection: async () => {
        await talk(settle());
        try {
          return await talk(removeReadProtection());
        } catch (error) {
          if (!isCode(error, 'device-gone')) throw error;
          return 'silent';
        }
      },
      close: () => device.close(),
    };
  } catch (error) {
    await device.close();
    throw error;
  }
}

function stepsOf(plan: WritePlan): readonly Step[] {
  return [
    ...plan.erase.map(({ address, sizeBytes }) => ({ kind: 'erase' as const, address, sizeBytes })),
    ...plan.write.map(({ address, bytes }) => ({ kind: 'write' as const, address, sizeBytes: bytes.length })),
  ];
}

/**
 * Called before each step: resolves when it is on record. The record of the one after it is made while the chip is at work.
 * The first step waits for its record; behind it a disk that is full must not leave a half-written board.
 */
function recordAhead(recorder: Recorder, steps: readonly Step[]): () => Promise<void> {
  const left = [...steps];
  let onRecord: Promise<void> | undefined;
  const record = async (): Promise<void> => {
    const step = left.shift();
    if (step !== undefined) await recorder.before(step);
  };
  return async () => {
    await (onRecord ?? record());
    onRecord = record().catch(() => {});
  };
}

/** Tells what was done before, with `work` on its way: whoever hears it takes his time, and the chip does not wait for him. */
async function meanwhile<T>(work: Promise<T>, tell: () => void): Promise<T> {
  // Should telling fail, nobody waits for it any more.
  work.catch(() => {});
  tell();
  return work;
}

/**
 * Carries out what the core asks. A STALL or a time-out goes back into the core; a lost device is an exception.
 * Progress is told when the next transfers are on their way, the last of it by `tell`.
 */
function performer(
  kit: Pick<Kit, 'clock'>,
  device: UsbDfuDevice,
  onProgress?: (done: number) => void,
): { readonly perform: (request: DfuRequest) => Promise<DfuAnswer>; readonly tell: () => void } {
  let untold: number | undefined;
  const tell = (): void => {
    const done = untold;
    untold = undefined;
    if (done !== undefined) onProgress?.(done);
  };
  const transfer = (transfers: readonly DfuTransfer[]): Promise<readonly TransferAnswer[]> =>
    meanwhile(allOf(transfers.map((one) => start(device, one))), tell);
  const perform = async (request: DfuRequest): Promise<DfuAnswer> => {
    switch (request.kind) {
      case 'out':
      case 'in':
        return (await transfer([request]))[0] ?? 'timeout';
      case 'series':
        return transfer(request.transfers);
      case 'wait':
        tell();
        await kit.clock.sleep(request.ms);
        return 'ok';
      case 'progress':
        untold = request.done;
        return 'ok';
    }
  };
  return { perform, tell };
}

function start(device: UsbDfuDevice, transfer: DfuTransfer): Promise<TransferAnswer> {
  return transfer.kind === 'out'
    ? device.controlOut(transfer.setup, transfer.data, transfer.timeoutMs)
    : device.controlIn(transfer.setup, transfer.length, transfer.timeoutMs);
}

/** Also when the device is lost, nothing is under way any more when this ends. */
async function allOf(started: readonly Promise<TransferAnswer>[]): Promise<readonly TransferAnswer[]> {
  await Promise.allSettled(started);
  return Promise.all(started);
}

function isCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof OctopusError && error.code === code;
}
