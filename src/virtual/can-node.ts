// Virtual bench, CAN: a toolhead: a small board with a chip, its flash and a CAN transceiver, well behaved or not.

import type { CanFrame } from '../ports/can.ts';
import type { Running } from './board.ts';
import type { CanAdmin } from './can-admin.ts';
import type { CanController } from './can-controller.ts';
import { manners, stateOf, type CanNodeOptions } from './can-node-options.ts';
import { CanStation, LOOP_MS } from './can-station.ts';
import { canUuid, uidWithUuid } from './can-uuid.ts';
import type { CanWire } from './can-wire.ts';
import { after, type BenchClock } from './clock.ts';
import { bootAddress, type ChipFlash, type KlipperProgram } from './cpu.ts';
import { defaultFirmwareSettings } from './firmware-settings.ts';
import type { KeptBoard } from './keep.ts';
import { Programs } from './programs.ts';
import { loadChip } from './silicon/chip-data.ts';
import { FlashMemory } from './silicon/flash-memory.ts';
import { flashSizeBytes } from './silicon/silicon.ts';
import type { BenchTimes, TimesName } from './times.ts';
import { loadToolhead, type ToolheadData } from './toolhead-data.ts';
import { fillToolhead } from './toolhead-state.ts';

export type { CanNodeOptions } from './can-node-options.ts';

export interface NodeSurroundings {
  readonly clock: BenchClock;
  readonly times: BenchTimes;
  readonly timesName: TimesName;
  readonly wire: CanWire;
  readonly bitrate: number;
  readonly keep?: KeptBoard;
}

export const DEFAULT_MODEL = 'btt-ebb36-v1.2';
const FIRST_UUID = 0x0a0b_0c00_0001;

export class CanNode {
  readonly toolhead: ToolheadData;
  readonly uid: Uint8Array;
  readonly flash: ChipFlash;
  running: Running = { kind: 'off' };
  readonly #clock: BenchClock;
  readonly #station: CanStation;
  readonly #programs: Programs;
  readonly #keep: KeptBoard | undefined;
  #timers: (() => void)[] = [];
  #leave: () => void = () => {};
  /** What it has to wait for is over at once. */
  #isInstant = false;

  constructor(around: NodeSurroundings, options: CanNodeOptions, index: number) {
    this.#clock = around.clock;
    this.toolhead = loadToolhead(options.model ?? DEFAULT_MODEL);
    const chip = loadChip(this.toolhead.chip);
    const uuid = options.uuid ?? (FIRST_UUID + index).toString(16).padStart(12, '0');
    this.uid =
      options.uid === undefined
        ? uidWithUuid(uuid, chip.family === 'rp2040' ? 8 : 12)
        : Uint8Array.from(Buffer.from(options.uid, 'hex'));
    const bitrate = options.bitrate ?? around.bitrate;
    this.flash = new FlashMemory(chip, around.clock, { times: around.timesName });
    this.#station = new CanStation(around, {
      uuid: canUuid(this.uid),
      bitrate,
      loopMs: options.answerAfterMs ?? LOOP_MS * (index + 1),
      stops: () => stopsItself(this.flash),
      answers: (plain) => manners(options, plain),
      onAssigned: () => this.#save(),
      ...(options.disturbs === undefined ? {} : { disturbs: options.disturbs }),
    });
    const { mcu, crystalHz } = this.toolhead;
    this.#programs = new Programs({
      data: { mcu, crystalHz, uid: Buffer.from(this.uid).toString('hex'), stockOffset: 0 },
      flash: this.flash,
      clock: around.clock,
      times: around.times,
      settings: { ...defaultFirmwareSettings(mcu), ...options.firmware },
      // Nobody has plugged a cable into its USB socket.
      socket: { show: () => {} },
      disturb: (_direction, message) => [message],
      later: (ms, action) => this.#later(ms, action),
      runs: (running) => this.#set(running),
      systemReset: () => this.#systemReset(),
      startRom: () => {
        this.#halt();
        this.#set({ kind: 'rom' });
      },
      joinCan: (guest) => {
        this.#leave = this.#station.join(guest);
      },
    });
    this.#keep = around.keep;
    this.#begin(options, bitrate);
  }

  get admin(): CanAdmin {
    return this.#station.admin;
  }

  get controller(): CanController {
    return this.#station.controller;
  }

  get uuid(): string {
    return this.admin.uuid;
  }

  /** The Klipper that answers on the bus now. */
  get klipper(): KlipperProgram | undefined {
    return this.running.kind === 'klipper' && this.#timers.length === 0 ? this.running : undefined;
  }

  /** Nothing will happen any more by itself. */
  get settled(): boolean {
    return this.#timers.length === 0;
  }

  /** Says something by itself, as a node does that has an id. */
  say(frame: CanFrame): boolean {
    return this.controller.send(frame);
  }

  powerOff(): void {
    this.#programs.powerLost();
    this.#halt();
    this.flash.powerCut();
    this.#set({ kind: 'off' });
  }

  /** Power is back, and has been for long: whatever the start takes is over. */
  powerOn(): void {
    if (this.running.kind === 'off') this.#instantly(() => this.#boot());
  }

  /** Power is back just now. */
  coldStart(): void {
    if (this.running.kind === 'off') this.#boot();
  }

  /** The button or wire at its reset: RAM stays. */
  pressReset(): void {
    if (this.running.kind === 'off') return;
    this.flash.powerCut();
    this.#systemReset();
  }

  stop(): void {
    this.#halt();
    this.#keep?.close();
  }

  #begin(options: CanNodeOptions, bitrate: number): void {
    const state = stateOf(options);
    const bytes = this.#keep?.flash();
    if (bytes === undefined) fillToolhead(this.flash, this.toolhead, state, { ...options, bitrate });
    else this.flash.load(this.flash.mcu.flashBase, bytes);
    const kept = this.#keep?.node();
    const nodeId = kept === undefined ? options.nodeId : kept.nodeId;
    const isKatapult = kept === undefined ? state === 'katapult' : kept.entry === 'katapult';
    this.#keep?.follow(this.flash, flashSizeBytes(this.flash.mcu));
    if (options.isOff === true) return;
    this.#instantly(() => this.#boot(isKatapult));
    if (nodeId !== undefined && this.controller.isOnBus) this.admin.assign(nodeId);
    this.#save();
  }

  #boot(isKatapult = false): void {
    const address = bootAddress(this.flash);
    if (address === undefined) this.#set({ kind: 'rom' });
    else if (isKatapult) this.#programs.resumeKatapult(address);
    else this.#programs.start(address);
  }

  #systemReset(): void {
    this.#halt();
    this.#boot();
  }

  #halt(): void {
    for (const cancel of this.#timers.splice(0)) cancel();
    this.#programs.halt();
    this.#leave();
    this.#leave = () => {};
  }

  #instantly(action: () => void): void {
    this.#isInstant = true;
    action();
    this.#isInstant = false;
  }

  #later(ms: number, action: () => void): void {
    if (this.#isInstant) {
      action();
      return;
    }
    const cancel = after(this.#clock, ms, () => {
      this.#timers = this.#timers.filter((timer) => timer !== cancel);
      action();
    });
    this.#timers.push(cancel);
  }

  #set(running: Running): void {
    this.running = running;
    this.#save();
  }

  #save(): void {
    const { nodeId } = this.admin;
    this.#keep?.keepNode({
      entry: this.running.kind === 'katapult' ? 'katapult' : 'reset',
      ...(nodeId === undefined ? {} : { nodeId }),
    });
  }
}

/** An RP2040's code runs in RAM; with two banks, code in the first runs while the second is erased (RM0444 3.3.6). */
function stopsItself({ mcu, busyAt }: ChipFlash): boolean {
  const { family, bankBytes, flashBase } = mcu;
  if (family === 'rp2040') return false;
  return bankBytes === undefined || busyAt === undefined || busyAt < flashBase + bankBytes;
}
