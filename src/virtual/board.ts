// Virtual bench, the board: power, reset, and which program the chip runs because of what its flash holds.

import { uidBytes, type VirtualBoardData } from './board-data.ts';
import { after, type BenchClock } from './clock.ts';
import type { KlipperProgram, Program } from './cpu.ts';
import type { JoinCan } from './can-guest.ts';
import type { FirmwareSettings } from './firmware-settings.ts';
import type { BoardLines, Level, ResetWatcher } from './lines.ts';
import { Programs } from './programs.ts';
import type { FlashMemory } from './silicon/flash-memory.ts';
import { createRomDfu } from './silicon/rom-dfu.ts';
import type { RomSettings } from './silicon/rom-settings.ts';
import type { BenchTimes } from './times.ts';
import type { UsbOwner } from './usb-attachment.ts';
import type { VirtualUsb } from './usb-bus.ts';
import { UsbSocket } from './usb-socket.ts';

export type Running =
  | { readonly kind: 'off' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'rom' }
  /** BOOT0 and BOOT1 high on F4: embedded SRAM, where nothing lies. */
  | { readonly kind: 'sram' }
  /** The half second in which Katapult waits for a second reset. */
  | { readonly kind: 'katapult-window' }
  | Program;

/** Where the last reset led, kept across processes; `katapult`: it stayed there. */
export type BootEntry = 'reset' | 'rom' | 'flash' | 'katapult';

export class VirtualBoard implements ResetWatcher, UsbOwner {
  readonly data: VirtualBoardData;
  readonly flash: FlashMemory;
  readonly lines: BoardLines;
  readonly romSettings: RomSettings;
  readonly firmwareSettings: FirmwareSettings;
  /** The board's 5 V comes over the cable: pulling it is a power cut. A printer has its own supply. */
  readonly busPowered: boolean;
  readonly socket: UsbSocket;
  running: Running = { kind: 'off' };
  /** Told whenever another program starts. */
  onRunning: (entry: BootEntry) => void = () => {};
  /** Who has the wire that a CAN build speaks on; undefined: nobody. */
  joinCan: JoinCan | undefined;
  #leaveCan: () => void = () => {};
  readonly #clock: BenchClock;
  readonly #times: BenchTimes;
  readonly #programs: Programs;
  #resume: BootEntry | undefined;
  #timers: (() => void)[] = [];
  #powered = false;

  constructor(parts: {
    data: VirtualBoardData;
    flash: FlashMemory;
    lines: BoardLines;
    romSettings: RomSettings;
    firmwareSettings: FirmwareSettings;
    busPowered: boolean;
    clock: BenchClock;
    times: BenchTimes;
    usb: VirtualUsb;
  }) {
    this.data = parts.data;
    this.flash = parts.flash;
    this.lines = parts.lines;
    this.romSettings = parts.romSettings;
    this.firmwareSettings = parts.firmwareSettings;
    this.busPowered = parts.busPowered;
    this.#clock = parts.clock;
    this.#times = parts.times;
    this.socket = new UsbSocket(parts.usb, parts.data.busPath, this);
    this.#programs = new Programs({
      data: this.data,
      flash: this.flash,
      clock: this.#clock,
      times: this.#times,
      settings: this.firmwareSettings,
      socket: this.socket,
      later: (ms, action) => this.#later(ms, action),
      runs: (running) => this.#set(running, running.kind === 'katapult' ? 'katapult' : 'flash'),
      systemReset: () => this.#systemReset(),
      startRom: () => this.#startRom(),
      disturb: (direction, message) => parts.usb.disturb(direction, message, this.data.busPath, this),
      joinCan: (guest) => {
        this.#leaveCan = this.joinCan?.(guest) ?? ((): void => {});
      },
    });
    this.lines.watch(this);
  }

  get powered(): boolean {
    return this.#powered;
  }

  /** The Klipper that a host could reach now; on CAN as soon as it runs. */
  get klipper(): KlipperProgram | undefined {
    if (this.running.kind !== 'klipper' || this.#timers.length > 0) return undefined;
    if (this.running.transport === 'can') return this.running;
    return this.socket.present ? this.running : undefined;
  }

  /** Heater pins that the ROM may be driving now. */
  get heatersAtRisk(): readonly string[] {
    return this.running.kind === 'rom' ? this.data.heaterPinsTheRomMayDrive : [];
  }

  /** Nothing will happen any more by itself: it runs what it runs, and the host has found it. */
  get settled(): boolean {
    if (!this.#powered) return true;
    if (this.lines.inReset) return this.lines.heldInReset;
    if (this.#timers.length > 0) return false;
    return this.socket.settled(this.#clock.now());
  }

  /** Klipper's bootloader request, heard on CAN: by a bridge on its way to the wire, or by a node. */
  requestBootloader(): void {
    this.#programs.requestBootloader();
  }

  powerOn(): void {
    if (this.#powered) return;
    this.#powered = true;
    this.#set({ kind: 'reset' }, 'reset');
    this.lines.power(true);
  }

  /** A later process takes the board over as the one before left it. */
  powerResume(entry: BootEntry): void {
    this.#powered = true;
    this.#resume = entry;
    this.#set({ kind: 'reset' }, 'reset');
    this.lines.powerSettled();
    this.#resume = undefined;
  }

  powerCut(): void {
    if (!this.#powered) return;
    this.#powered = false;
    this.#programs.powerLost();
    this.lines.power(false);
    this.#halt();
    this.flash.powerCut();
    this.#set({ kind: 'off' }, 'reset');
  }

  unplug(): void {
    if (!this.socket.plugged) return;
    this.socket.unplug();
    if (this.busPowered) this.powerCut();
  }

  replug(): void {
    if (this.socket.plugged) return;
    this.socket.replug();
    if (this.busPowered) this.powerOn();
  }

  resetAsserted(): void {
    this.#halt();
    // Reset ends a flash operation as roughly as a power cut does.
    this.flash.powerCut();
    this.#set({ kind: 'reset' }, 'reset');
  }

  resetReleased(boot0: Level, boot1: Level): void {
    if (!this.#powered) return;
    const resume = this.#resume;
    if (resume === 'rom') this.#startRom();
    else if (resume === 'flash') this.#startFlash();
    else if (resume === 'katapult') this.#programs.resumeKatapult(this.flash.mcu.flashBase);
    else this.#boot(boot0, boot1);
  }

  stop(): void {
    this.#halt();
    this.lines.stop();
  }

  #boot(boot0: Level, boot1: Level): void {
    if (boot0 === 'low') this.#startFlash();
    else if (this.flash.mcu.family === 'f4' && boot1 === 'high') this.#set({ kind: 'sram' }, 'rom');
    else this.#startRom();
  }

  /** SYSRESETREQ: RAM stays, the boot pins are sampled again. */
  #systemReset(): void {
    this.#halt();
    this.#boot(this.lines.boot0(), this.lines.boot1());
  }

  #startRom(): void {
    this.#set({ kind: 'rom' }, 'rom');
    this.#later(this.#times.romStartMs, () =>
      this.socket.show(() =>
        createRomDfu({
          mcu: this.flash.mcu,
          flash: this.flash,
          clock: this.#clock,
          uid: uidBytes(this.data),
          settings: this.romSettings,
          onLeave: (address) => {
            // A jump, no reset: BOOT0 does not matter.
            this.#halt();
            this.#programs.start(address);
          },
          onReset: () => this.#systemReset(),
        }),
      ),
    );
  }

  #startFlash(): void {
    this.#programs.start(this.flash.mcu.flashBase);
  }

  #halt(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers = [];
    this.#programs.halt();
    this.#leaveCan();
    this.#leaveCan = () => {};
    this.socket.drop();
  }

  #later(ms: number, action: () => void): void {
    const cancel = after(this.#clock, ms, () => {
      this.#timers = this.#timers.filter((timer) => timer !== cancel);
      action();
    });
    this.#timers.push(cancel);
  }

  #set(running: Running, entry: BootEntry): void {
    this.running = running;
    this.onRunning(entry);
  }
}
