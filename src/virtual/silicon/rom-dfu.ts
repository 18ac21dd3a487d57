// virtual silicon: the ROM bootloader as a USB device: standard requests, and the DFU machine behind them.
import type { Clock } from '../../ports/clock.ts';
import type { SetupPacket, UsbFunction } from '../usb-function.ts';
import { DfuMachine } from './dfu-machine.ts';
import type { FlashMemory } from './flash-memory.ts';
import { romDescriptors, stringText } from './rom-descriptors.ts';
import type { RomDescriptors } from './rom-descriptors.ts';
import { RomMemory } from './rom-memory.ts';
import type { RomSettings } from './rom-settings.ts';
import type { McuSilicon } from './silicon.ts';

export interface RomDfuOptions {
  readonly mcu: McuSilicon;
  readonly flash: FlashMemory;
  readonly clock: Clock;
  /** The 12 bytes at `uidAddress`. */
  readonly uid: Uint8Array;
  readonly settings: RomSettings;
  /** The ROM jumps to the program at `address`, whatever BOOT0 says. The board stops this function then. */
  onLeave(address: number): void;
  /** The ROM resets the chip (after read-unprotect). */
  onReset(): void;
  /** How much longer than the work itself a held request is held. */
  readonly heldMs?: number;
  /** False where the caller lets the bus take the time of transfers itself. Default true. */
  readonly wireTime?: boolean;
}

/** A control transfer without data: "answered in about 1 ms", fwupd#2696. */
const TRANSFER_MS = 1;
/** UPLOAD of 2048 B in 3 ms on F745 (fwupd#2057), of 1024 B in 4-5 ms on H743 (td-p/221810). */
const MS_PER_BYTE = { f4: (3 - TRANSFER_MS) / 2048, h7: (5 - TRANSFER_MS) / 1024 } as const;

/** USB 2.0 table 9-4. */
const STANDARD = {
  GET_STATUS: 0,
  SET_ADDRESS: 5,
  GET_DESCRIPTOR: 6,
  GET_CONFIGURATION: 8,
  SET_CONFIGURATION: 9,
  GET_INTERFACE: 10,
  SET_INTERFACE: 11,
} as const;
/** USB 2.0 table 9-5. */
const DESCRIPTOR = { DEVICE: 1, CONFIGURATION: 2, STRING: 3 } as const;
/** bmRequestType, USB 2.0 table 9-2: a class request to an interface, either direction. */
const CLASS_OUT = 0x21;
const CLASS_IN = 0xa1;
/** DFU 1.1 table 3.2: UPLOAD, GETSTATUS and GETSTATE are reads. */
const READS = new Set([2, 3, 5]);

type Answer = Uint8Array | 'stall';
const ACK = new Uint8Array(0);

export function createRomDfu(options: RomDfuOptions): UsbFunction {
  const { mcu, flash, clock, settings } = options;
  const descriptors = romDescriptors(mcu, settings, options.uid);
  const stopping = new AbortController();
  const machine = new DfuMachine({
    memory: new RomMemory(flash, settings, options.uid, descriptors),
    clock,
    settings,
    transferSize: descriptors.transferSize,
    heldMs: options.heldMs ?? 0,
    stopped: stopping.signal,
    onLeave: (address) => options.onLeave(address),
    onReset: () => options.onReset(),
  });
  const standard = standardRequests(descriptors);
  // There is one endpoint 0: a transfer waits until the one before it is done.
  let turn: Promise<unknown> = Promise.resolve();

  async function wire(ms: number, bytes: number): Promise<void> {
    if (options.wireTime === false) return;
    await clock.sleep(ms + bytes * MS_PER_BYTE[mcu.family], stopping.signal);
  }

  async function transfer(setup: SetupPacket, data: Uint8Array): Promise<Answer> {
    try {
      await wire(TRANSFER_MS, data.length);
      if (stopping.signal.aborted) return 'stall';
      const answer = await dispatch(setup, data);
      if (answer === 'stall' || stopping.signal.aborted) return 'stall';
      const sent = answer.slice(0, setup.wLength);
      if (sent.length > 0) await wire(0, sent.length);
      return sent;
    } catch (error) {
      if (stopping.signal.aborted) return 'stall';
      throw error;
    }
  }

  function dispatch(setup: SetupPacket, data: Uint8Array): Answer | Promise<Answer> {
    const { bmRequestType, bRequest, wIndex } = setup;
    if ((bmRequestType & 0x60) === 0) return standard(setup);
    const direction = READS.has(bRequest) ? CLASS_IN : CLASS_OUT;
    return bmRequestType === direction && wIndex === 0 ? machine.handle(setup, data) : 'stall';
  }

  return {
    deviceDescriptor: descriptors.device,
    strings: new Map(
      [...descriptors.strings].filter(([index]) => index > 0).map(([index, raw]) => [index, stringText(raw)]),
    ),
    control(setup, data) {
      const answer = turn.then(() => transfer(setup, data));
      turn = answer.catch(() => {});
      return answer;
    },
    stop() {
      if (machine.working) flash.powerCut();
      stopping.abort();
    },
  };
}

/**
 * The requests of USB 2.0 chapter 9. None of them touches the DFU state: a session that died in a download
 * leaves dfuDNLOAD-IDLE to the next host, which has claimed and configured anew (redbear Duo#50).
 */
function standardRequests(descriptors: RomDescriptors): (setup: SetupPacket) => Answer {
  let configuration = 0;
  let alternate = 0;
  return ({ bmRequestType, bRequest, wValue, wIndex }) => {
    switch (bRequest) {
      case STANDARD.GET_DESCRIPTOR:
        return descriptor(descriptors, wValue >> 8, wValue & 0xff);
      case STANDARD.GET_STATUS:
        // Device: self powered, dfu-util device-logs@fdc72a8 (F4; UNPROVEN on H7, section 9.3). Else zero.
        return Uint8Array.of(bmRequestType === 0x80 ? 1 : 0, 0);
      case STANDARD.SET_ADDRESS:
        return ACK;
      case STANDARD.GET_CONFIGURATION:
        return Uint8Array.of(configuration);
      case STANDARD.SET_CONFIGURATION:
        if (wValue > 1) return 'stall';
        configuration = wValue;
        alternate = 0;
        return ACK;
      case STANDARD.GET_INTERFACE:
        return wIndex === 0 ? Uint8Array.of(alternate) : 'stall';
      case STANDARD.SET_INTERFACE:
        if (wIndex !== 0 || wValue >= descriptors.alternateSettings) return 'stall';
        alternate = wValue;
        return ACK;
      default:
        return 'stall';
    }
  };
}

/** A functional descriptor (0x21) asked for by itself is refused; C562 never even answers (#5300). */
function descriptor(descriptors: RomDescriptors, type: number, index: number): Answer {
  if (type === DESCRIPTOR.DEVICE) return descriptors.device;
  if (type === DESCRIPTOR.CONFIGURATION && index === 0) return descriptors.configuration;
  if (type === DESCRIPTOR.STRING) return descriptors.strings.get(index) ?? 'stall';
  return 'stall';
}
