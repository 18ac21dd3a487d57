// Virtual bench, firmware: what each program does once the chip has started it.

import type { VirtualBoardData } from './board-data.ts';
import type { BenchClock } from './clock.ts';
import { judgeProgram, type KatapultProgram, type KlipperProgram, type Program } from './cpu.ts';
import { deploy, DEPLOYER_WAIT_MS } from './deployer.ts';
import { createBridgeUsb, createKatapultUsb, createKlipperUsb } from './klipper-app.ts';
import type { FlashMemory } from './silicon/flash-memory.ts';
import type { BenchTimes } from './times.ts';
import type { UsbSocket } from './usb-socket.ts';

/** What a program sees of the chip that runs it. */
export interface Machine {
  readonly data: VirtualBoardData;
  readonly flash: FlashMemory;
  readonly clock: BenchClock;
  readonly times: BenchTimes;
  readonly socket: UsbSocket;
  /** Called off when the chip is reset. */
  later(ms: number, action: () => void): void;
  runs(running: Program | { readonly kind: 'katapult-window' }): void;
  /** SYSRESETREQ. */
  systemReset(): void;
}

/** Katapult writes its request after 10 ms and takes it back after 500 ms (src/bootentry.c). */
const DOUBLE_RESET_FROM_MS = 10;
const DOUBLE_RESET_UNTIL_MS = 500;

export class Programs {
  readonly #machine: Machine;
  /** The words at the top of RAM. UNPROVEN: kept over a reset whatever ran in between, lost with the power. */
  #ram: 'empty' | 'katapult' | 'start-app' = 'empty';

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  powerLost(): void {
    this.#ram = 'empty';
  }

  /** The core starts at `address`, from reset or by a jump. */
  start(address: number): void {
    this.#run(judgeProgram(this.#machine.flash, this.#machine.data, address));
  }

  #run(program: Program): void {
    const { data, flash, times } = this.#machine;
    this.#machine.runs(program);
    switch (program.kind) {
      case 'stock':
        // It jumps through the first two words of the application, whatever they are.
        this.#machine.later(times.stockBootloaderMs, () =>
          this.#application(flash.mcu.flashBase + data.stockOffset),
        );
        return;
      case 'katapult':
        this.#katapult(program);
        return;
      case 'klipper':
        this.#klipper(program);
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

  #katapult(program: KatapultProgram): void {
    const { data, times, socket } = this.#machine;
    const request = this.#ram;
    if (request === 'start-app') {
      this.#ram = 'empty';
      this.#application(program.appAddress);
      return;
    }
    if (request === 'katapult' || !this.#looksValid(program.appAddress)) {
      this.#ram = 'empty';
      if (program.transport === 'can') return;
      this.#machine.later(times.katapultStartMs, () =>
        socket.show(() => createKatapultUsb(program.mcu, data.uid)),
      );
      return;
    }
    this.#machine.runs({ kind: 'katapult-window' });
    this.#machine.later(DOUBLE_RESET_FROM_MS, () => {
      this.#ram = 'katapult';
    });
    this.#machine.later(DOUBLE_RESET_UNTIL_MS, () => {
      this.#ram = 'start-app';
      this.#machine.systemReset();
    });
  }

  /** Katapult's whole check of an application (src/generic/armcm_canboot.c). */
  #looksValid(address: number): boolean {
    const word = this.#machine.flash.peek(address, 4);
    return !word.every((byte) => byte === 0xff) && !word.every((byte) => byte === 0);
  }

  #klipper(program: KlipperProgram): void {
    const { mcu, transport, dictionary } = program;
    const { data, clock, times, socket } = this.#machine;
    this.#machine.later(times.klipperStartMs, () => {
      if (transport === 'usb') {
        socket.show(() => createKlipperUsb({ clock, mcu, uid: data.uid, dictionary }));
      } else if (transport === 'bridge') {
        socket.show(() => createBridgeUsb(clock, mcu, data.uid));
      }
      // A CAN node or a UART build shows nothing on USB.
    });
  }

  async #deploy(katapult: Uint8Array): Promise<void> {
    if (!(await deploy(this.#machine.flash, katapult))) return;
    this.#ram = 'katapult';
    this.#machine.systemReset();
  }
}
