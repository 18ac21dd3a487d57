// Virtual bench, firmware: what each program does once the chip has started it.

import { bootloaderRequest, type RamWords } from './bootloader-request.ts';
import type { ByteDirection } from './byte-faults.ts';
import type { CanGuest } from './can-guest.ts';
import type { VirtualBoardData } from './board-data.ts';
import type { BenchClock } from './clock.ts';
import {
  judgeProgram,
  type ChipFlash,
  type KatapultProgram,
  type KlipperProgram,
  type Program,
} from './cpu.ts';
import { deploy, DEPLOYER_WAIT_MS } from './deployer.ts';
import type { FirmwareSettings } from './firmware-settings.ts';
import { KatapultFirmware, type KatapultParts } from './katapult/firmware.ts';
import { KatapultUsb } from './katapult/usb.ts';
import { createBridgeUsb, createKlipperUsb, katapultFacts } from './klipper-app.ts';
import type { BenchTimes } from './times.ts';
import type { UsbSocket } from './usb-socket.ts';

/** What a program sees of the chip that runs it. */
export interface Machine {
  readonly data: Pick<VirtualBoardData, 'mcu' | 'crystalHz' | 'uid' | 'stockOffset'>;
  readonly flash: ChipFlash;
  readonly clock: BenchClock;
  readonly times: BenchTimes;
  readonly settings: FirmwareSettings;
  readonly socket: Pick<UsbSocket, 'show'>;
  /** Called off when the chip is reset. */
  later(ms: number, action: () => void): void;
  runs(running: Program | { readonly kind: 'katapult-window' }): void;
  /** SYSRESETREQ. */
  systemReset(): void;
  /** A jump to the ROM's bootloader, no reset. */
  startRom(): void;
  /** A message between the host and a tty of ours on USB, as it comes out at the other end. */
  disturb(direction: ByteDirection, message: Uint8Array): readonly Uint8Array[];
  /** A program of a CAN build is up; without a wire nothing comes of it. */
  joinCan(guest: CanGuest): void;
}

/** Katapult writes its request after 10 ms and takes it back after 500 ms (src/bootentry.c). */
const DOUBLE_RESET_FROM_MS = 10;
const DOUBLE_RESET_UNTIL_MS = 500;

export class Programs {
  readonly #machine: Machine;
  readonly #ram: RamWords = { katapult: 'empty', rom: false };
  #klipper: KlipperProgram | undefined;
  #katapult: KatapultFirmware | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  powerLost(): void {
    this.#ram.katapult = 'empty';
    this.#ram.rom = false;
  }

  /** Reset or power falls: whatever ran has ended. */
  halt(): void {
    this.#klipper = undefined;
    this.#katapult?.stop();
    this.#katapult = undefined;
  }

  /** The core starts at `address`, from reset or by a jump. */
  start(address: number): void {
    this.#run(judgeProgram(this.#machine.flash, this.#machine.data, address));
  }

  /** A later process goes on where Katapult had stayed, whatever has brought it there. */
  resumeKatapult(address: number): void {
    this.#ram.katapult = 'katapult';
    this.start(address);
  }

  /**
   * bootloader_request of a Klipper that runs, by whatever wire it heard of it: Katapult below it, else the ROM, else
   * (a CAN build with neither) nothing. Any other program hears nothing.
   */
  requestBootloader(): void {
    if (this.#klipper === undefined) return;
    const word = bootloaderRequest(this.#machine.flash, this.#klipper);
    if (word === undefined) return;
    if (word === 'rom-at-once') {
      this.#machine.startRom();
      return;
    }
    if (word === 'rom') this.#ram.rom = true;
    else this.#ram.katapult = 'katapult';
    this.#machine.systemReset();
  }

  #run(program: Program): void {
    const { data, flash, times } = this.#machine;
    this.#machine.runs(program);
    switch (program.kind) {
      case 'stock':
        // It looks for a card, then jumps through the first two words of the application, whatever they are. Its RAM ends
        // far below the words of others (klipper-katapult-dfu.md section 2).
        this.#machine.later(times.stockBootloaderMs, () =>
          this.#application(flash.mcu.flashBase + data.stockOffset),
        );
        return;
      case 'katapult':
        this.#startKatapult(program);
        return;
      case 'klipper':
        this.#startKlipper(program);
        return;
      case 'deployer':
        this.#machine.later(DEPLOYER_WAIT_MS, () => void this.#deploy(program.katapult));
        return;
      case 'nothing':
        return;
    }
  }

  #application(address: number): void {
    const program = judgeProgram(this.#machine.flash, this.#machine.data, address);
    const bootloader = program.kind === 'stock' || program.kind === 'katapult';
    this.#run(bootloader ? { kind: 'nothing', why: 'a bootloader where an application belongs' } : program);
  }

  #startKatapult(program: KatapultProgram): void {
    const request = this.#ram.katapult;
    if (request === 'start-app') {
      this.#ram.katapult = 'empty';
      this.#application(program.appAddress);
      return;
    }
    // The request is looked at first; only without one the application's first word is read.
    const found = request === 'katapult' ? 'absent' : this.#applicationAt(program.appAddress);
    if (found === 'unreadable') {
      this.#machine.runs({ kind: 'nothing', why: "Katapult's look at the application is a bus fault" });
      return;
    }
    if (found === 'absent') {
      this.#ram.katapult = 'empty';
      this.#machine.later(this.#machine.times.katapultStartMs, () => this.#show(program));
      return;
    }
    this.#machine.runs({ kind: 'katapult-window' });
    this.#machine.later(DOUBLE_RESET_FROM_MS, () => {
      this.#ram.katapult = 'katapult';
    });
    this.#machine.later(DOUBLE_RESET_UNTIL_MS, () => this.#jump());
  }

  /** application_jump: whatever lies in flash, and the boot pins are sampled on the way. */
  #jump(): void {
    this.#ram.katapult = 'start-app';
    this.#machine.systemReset();
  }

  #show(program: KatapultProgram): void {
    const { data, socket } = this.#machine;
    const start = (wire: Pick<KatapultParts, 'canUuid' | 'respond'>): KatapultFirmware => {
      this.#katapult = this.#firmware(program, wire);
      return this.#katapult;
    };
    if (program.transport === 'can') {
      this.#machine.joinCan({ kind: 'katapult', program, firmware: start });
      return;
    }
    const usb = new KatapultUsb(
      katapultFacts(program.mcu, data.uid),
      (direction, message) => this.#machine.disturb(direction, message),
      (respond) => start({ respond }),
    );
    socket.show(() => usb.plugIn());
  }

  #firmware(
    { mcu, version, protocol, appAddress }: KatapultProgram,
    wire: Pick<KatapultParts, 'canUuid' | 'respond'>,
  ): KatapultFirmware {
    const { clock, flash, settings } = this.#machine;
    const jump = (): void => this.#jump();
    return new KatapultFirmware({
      clock,
      flash,
      settings,
      mcu,
      version,
      protocol,
      appAddress,
      jump,
      ...wire,
    });
  }

  /** Katapult's whole check of an application (src/generic/armcm_canboot.c, application_check_valid). */
  #applicationAt(address: number): 'there' | 'absent' | 'unreadable' {
    const { flash, settings } = this.#machine;
    if (settings.eccRead === 'hang' && flash.hasEccError(address, 4)) return 'unreadable';
    const word = flash.peek(address, 4);
    const isEmpty = word.every((byte) => byte === 0xff) || word.every((byte) => byte === 0);
    return isEmpty ? 'absent' : 'there';
  }

  #startKlipper(program: KlipperProgram): void {
    const { mcu, transport, dictionary } = program;
    const { data, clock, times, socket, settings } = this.#machine;
    if (this.#ram.rom && (transport === 'usb' || transport === 'bridge')) {
      // dfu_reboot_check, the first thing that it does.
      this.#ram.rom = false;
      if (settings.romJump === 'works') this.#machine.startRom();
      else this.#machine.runs({ kind: 'nothing', why: "Klipper's jump into the ROM of this chip fails" });
      return;
    }
    this.#klipper = program;
    const onTouch = (): void => this.requestBootloader();
    this.#machine.later(times.klipperStartMs, () => {
      if (transport === 'usb') {
        const { touchSees } = settings;
        const disturb: Machine['disturb'] = (direction, message) => this.#machine.disturb(direction, message);
        socket.show(() =>
          createKlipperUsb({ clock, mcu, uid: data.uid, dictionary, onTouch, touchSees, disturb }),
        );
      } else if (transport === 'bridge') {
        socket.show(() => createBridgeUsb(clock, mcu, data.uid));
      } else if (transport === 'can') {
        this.#machine.joinCan({ kind: 'klipper', program, requestBootloader: onTouch });
      }
      // A UART build shows nothing anywhere.
    });
  }

  async #deploy(katapult: Uint8Array): Promise<void> {
    if (!(await deploy(this.#machine.flash, katapult))) return;
    this.#ram.katapult = 'katapult';
    this.#machine.systemReset();
  }
}
