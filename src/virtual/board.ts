// Virtual bench, the board: power, reset, and which program the chip runs because of what its flash holds.

import { uidBytes, type VirtualBoardData } from './board-data.ts';
import { after, type BenchClock } from './clock.ts';
import { judgeProgram, type KatapultProgram, type KlipperProgram, type Program } from './cpu.ts';
import { createBridgeUsb, createKatapultUsb, createKlipperUsb } from './klipper-app.ts';
import type { BoardLines, Level, ResetWatcher } from './lines.ts';
import type { FlashMemory } from './silicon/flash-memory.ts';
import { createRomDfu } from './silicon/rom-dfu.ts';
import type { RomSettings } from './silicon/rom-settings.ts';
import type { BenchTimes } from './times.ts';
import type { Attachment, UsbOwner } from './usb-attachment.ts';
import type { VirtualUsb } from './usb-bus.ts';
import type { UsbFunction } from './usb-function.ts';

export type Running =
  | { readonly kind: 'off' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'rom' }
  /** BOOT0 and BOOT1 high on F4: embedded SRAM, where nothing lies. */
  | { readonly kind: 'sram' }
  /** The half second in which Katapult waits for a second reset. */
  | { readonly kind: 'katapult-window' }
  | Program;

/** Where the last reset led, kept across processes. */
export type BootEntry = 'reset' | 'rom' | 'flash';

/** Katapult writes its request after 10 ms and takes it back after 500 ms (src/bootentry.c). */
const DOUBLE_RESET_FROM_MS = 10;
const DOUBLE_RESET_UNTIL_MS = 500;
/** The deployer waits before it erases the bootloader (src/deployer.c). */
const DEPLOYER_WAIT_MS = 100;

export class VirtualBoard implements ResetWatcher, UsbOwner {
  readonly data: VirtualBoardData;
  readonly flash: FlashMemory;
  readonly lines: BoardLines;
  readonly romSettings: RomSettings;
  /** The board's 5 V comes over the cable: pulling it is a power cut. A printer has its own supply. */
  readonly busPowered: boolean;
  running: Running = { kind: 'off' };
  /** Told whenever another program starts. */
  onRunning: (entry: BootEntry) => void = () => {};
  onLeftWire: () => void = () => {};
  readonly #clock: BenchClock;
  readonly #times: BenchTimes;
  readonly #usb: VirtualUsb;
  /** The words at the top of RAM. UNPROVEN: kept over a reset whatever ran in between, lost with the power. */
  #ram: 'empty' | 'katapult' | 'start-app' = 'empty';
  #entry: BootEntry = 'reset';
  #resume: BootEntry | undefined;
  #timers: (() => void)[] = [];
  #powered = false;
  #plugged = true;
  #makeFunction: (() => UsbFunction) | undefined;
  #fn: UsbFunction | undefined;
  #attachment: Attachment | undefined;

  constructor(parts: {
    data: VirtualBoardData;
    flash: FlashMemory;
    lines: BoardLines;
    romSettings: RomSettings;
    busPowered: boolean;
    clock: BenchClock;
    times: BenchTimes;
    usb: VirtualUsb;
  }) {
    this.data = parts.data;
    this.flash = parts.flash;
    this.lines = parts.lines;
    this.romSettings = parts.romSettings;
    this.busPowered = parts.busPowered;
    this.#clock = parts.clock;
    this.#times = parts.times;
    this.#usb = parts.usb;
    this.lines.watch(this);
  }

  get powered(): boolean {
    return this.#powered;
  }

  /** The Klipper that a host could reach now; on CAN as soon as it runs. */
  get klipper(): KlipperProgram | undefined {
    if (this.running.kind !== 'klipper' || this.#timers.length > 0) return undefined;
    if (this.running.transport === 'can') return this.running;
    return this.#attachment?.state === 'present' ? this.running : undefined;
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
    const attachment = this.#attachment;
    if (attachment === undefined) return true;
    const waitsForTty = attachment.fn.tty !== undefined && attachment.ttyPath === undefined;
    return attachment.state === 'present' && !waitsForTty && this.#clock.now() >= attachment.openableAt;
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
    this.#ram = 'empty';
    this.lines.power(false);
    this.#halt();
    this.flash.powerCut();
    this.#set({ kind: 'off' }, 'reset');
  }

  unplug(): void {
    if (!this.#plugged) return;
    this.#plugged = false;
    this.#hide();
    if (this.busPowered) this.powerCut();
  }

  replug(): void {
    if (this.#plugged) return;
    this.#plugged = true;
    if (this.busPowered) this.powerOn();
    else if (this.#makeFunction !== undefined) this.#show(this.#makeFunction);
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
      this.#show(() =>
        createRomDfu({
          mcu: this.flash.mcu,
          flash: this.flash,
          clock: this.#clock,
          uid: uidBytes(this.data),
          settings: this.romSettings,
          onLeave: (address) => {
            // A jump, no reset: BOOT0 does not matter.
            this.#halt();
            this.#run(judgeProgram(this.flash, this.data, address), address);
          },
          onReset: () => this.#systemReset(),
        }),
      ),
    );
  }

  #startFlash(): void {
    const base = this.flash.mcu.flashBase;
    this.#run(judgeProgram(this.flash, this.data, base), base);
  }

  #run(program: Program, address: number): void {
    this.#set(program, 'flash');
    switch (program.kind) {
      case 'stock':
        this.#later(this.#times.stockBootloaderMs, () =>
          this.#runApplication(this.flash.mcu.flashBase + this.data.stockOffset, address),
        );
        return;
      case 'katapult':
        this.#runKatapult(program, address);
        return;
      case 'klipper':
        this.#runKlipper(program);
        return;
      case 'deployer':
        this.#later(DEPLOYER_WAIT_MS, () => void this.#deploy(program.katapult));
        return;
      case 'nothing':
        return;
    }
  }

  #runApplication(address: number, from: number): void {
    const program = judgeProgram(this.flash, this.data, address);
    const loops = program.kind === 'stock' || program.kind === 'katapult' || address === from;
    this.#run(
      loops ? { kind: 'nothing', why: 'a bootloader where an application belongs' } : program,
      address,
    );
  }

  #runKatapult(program: KatapultProgram, address: number): void {
    const request = this.#ram;
    if (request === 'start-app') {
      this.#ram = 'empty';
      this.#runApplication(program.appAddress, address);
      return;
    }
    if (request === 'katapult' || !this.#looksValid(program.appAddress)) {
      this.#ram = 'empty';
      if (program.transport === 'can') return;
      this.#later(this.#times.katapultStartMs, () =>
        this.#show(() => createKatapultUsb(program.mcu, this.data.uid)),
      );
      return;
    }
    this.#set({ kind: 'katapult-window' }, 'flash');
    this.#later(DOUBLE_RESET_FROM_MS, () => {
      this.#ram = 'katapult';
    });
    this.#later(DOUBLE_RESET_UNTIL_MS, () => {
      this.#ram = 'start-app';
      this.#systemReset();
    });
  }

  /** Katapult's whole check of an application (src/generic/armcm_canboot.c). */
  #looksValid(address: number): boolean {
    const word = this.flash.peek(address, 4);
    return !word.every((byte) => byte === 0xff) && !word.every((byte) => byte === 0);
  }

  #runKlipper(program: KlipperProgram): void {
    const { mcu, transport, dictionary } = program;
    const { uid } = this.data;
    if (transport === 'uart') return;
    this.#later(this.#times.klipperStartMs, () => {
      if (transport === 'usb') {
        this.#show(() => createKlipperUsb({ clock: this.#clock, mcu, uid, dictionary }));
      } else if (transport === 'bridge') {
        this.#show(() => createBridgeUsb(mcu, uid));
      }
    });
  }

  /** Erases what the bootloader lies in and writes the new one; power loss in between leaves neither. */
  async #deploy(katapult: Uint8Array): Promise<void> {
    const { mcu } = this.flash;
    const end = mcu.flashBase + katapult.length;
    for (const sector of mcu.sectors) {
      if (sector.address < end && (await this.flash.eraseSector(sector.address)) !== 'ok') return;
    }
    const word = mcu.writeOnceWordBytes ?? 4;
    const padded = new Uint8Array(Math.ceil(katapult.length / word) * word).fill(0xff);
    padded.set(katapult);
    if ((await this.flash.program(mcu.flashBase, padded)) !== 'ok') return;
    this.#ram = 'katapult';
    this.#systemReset();
  }

  #show(make: () => UsbFunction): void {
    this.#makeFunction = make;
    if (!this.#plugged) return;
    this.#fn = make();
    this.#attachment = this.#usb.attach(this.data.busPath, this.#fn, this);
  }

  #hide(): void {
    this.#fn?.stop();
    this.#fn = undefined;
    if (this.#attachment === undefined) return;
    this.#usb.detach(this.#attachment);
    this.#attachment = undefined;
    this.onLeftWire();
  }

  #halt(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers = [];
    this.#makeFunction = undefined;
    this.#hide();
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
    this.#entry = entry;
    this.onRunning(this.#entry);
  }
}
