// Virtual bench, put together: one or more boards on one host, with every port the flasher needs.

import { join } from 'node:path';
import { VirtualBoard, type BootEntry } from './board.ts';
import { canRole, loadVirtualBoard, uidBytes, type BoardState } from './board-data.ts';
import { VirtualCan, type CanOptions } from './can-host.ts';
import { canUuid } from './can-uuid.ts';
import { CanWire } from './can-wire.ts';
import type { BenchClock } from './clock.ts';
import { defaultFirmwareSettings, type FirmwareSettings } from './firmware-settings.ts';
import { VirtualGpio } from './gpio.ts';
import { KeptBoard } from './keep.ts';
import { createForeignUsb } from './klipper-app.ts';
import { BoardLines, type ElectricalFault, type LineSettings } from './lines.ts';
import { MemoryLocks } from './locks.ts';
import { VirtualPrinter } from './printer.ts';
import { clockOf, type ClockKind } from './real-clock.ts';
import { VirtualSerial } from './serial.ts';
import { FlashMemory } from './silicon/flash-memory.ts';
import { loadMcu } from './silicon/mcu-data.ts';
import { defaultRomSettings, type RomSettings } from './silicon/rom-settings.ts';
import { flashSizeBytes, smallerPart } from './silicon/silicon.ts';
import { fillFlash } from './state.ts';
import { MemoryStore } from './store.ts';
import { TIMES, type BenchTimes, type TimesName } from './times.ts';
import { VirtualUsb, type BenchFaults } from './usb-bus.ts';
import type { DeviceFacts } from './usb-descriptors.ts';

export interface BenchBoardOptions {
  /** One of `virtualBoardNames()`. Default `octopus-v1.1-f446`. */
  board?: string;
  /** What somebody has left in flash. Default `used`. */
  state?: BoardState;
  rom?: Partial<RomSettings>;
  firmware?: Partial<FirmwareSettings>;
  lines?: Partial<LineSettings>;
  busPath?: string;
  /** 24 hex digits; give two boards the same to make them alike. */
  uid?: string;
  /** Pulling the USB cable is a power cut too. Default false: a printer has its own supply. */
  busPowered?: boolean;
  /** The chip is a smaller part than its name, its ROM and everybody says: it has only its first sectors. */
  flashKib?: number;
}

export interface BenchOptions extends BenchBoardOptions {
  /** Default `virtual`. */
  clock?: ClockKind;
  times?: TimesName;
  /** Single times of the table, for a test that needs one to be special. */
  timesOverride?: Partial<BenchTimes>;
  /** False: no udevd, so no hot-plug events; the list is right all the same. */
  usbEvents?: boolean;
  /** Flash bytes and line levels live here and outlive the process. */
  keepDir?: string;
  /** Further boards on the same host. Give each its own pins (`lines`) and `busPath`. */
  boards?: readonly BenchBoardOptions[];
  /**
   * A CAN bus with its nodes. It hangs on an adapter, or on the first board where that is a bridge. Default: no bus,
   * and no interface but the one that a bridge brings along; a board that is a node itself hangs on an adapter.
   */
  can?: CanOptions;
}

export interface ForeignDevice extends Partial<DeviceFacts> {
  readonly busPath: string;
  readonly vendorId: number;
  readonly productId: number;
  /** It has a CDC-ACM tty. */
  readonly tty?: boolean;
}

export interface VirtualBench {
  readonly clock: BenchClock;
  readonly can: VirtualCan;
  readonly usb: VirtualUsb;
  readonly gpio: VirtualGpio;
  readonly serial: VirtualSerial;
  readonly printer: VirtualPrinter;
  readonly store: MemoryStore;
  readonly locks: MemoryLocks;
  readonly faults: BenchFaults;
  /** What was left on the first board. */
  readonly state: BoardState;
  /** The first board, and its flash and lines. */
  readonly board: VirtualBoard;
  readonly flash: FlashMemory;
  readonly lines: BoardLines;
  readonly boards: readonly VirtualBoard[];
  readonly electricalFaults: readonly ElectricalFault[];
  powerOn(): void;
  powerCut(): void;
  unplug(): void;
  replug(): void;
  /** The button on the board. */
  pressReset(ms?: number): Promise<void>;
  setJumper(fitted: boolean): void;
  /** Puts somebody else's device on the bus; the returned function pulls it out. */
  addDevice(device: ForeignDevice): () => void;
  /** Waits until all boards run what they run and the host has found them. */
  settle(): Promise<void>;
  dispose(): void;
}

export async function createBench(options: BenchOptions = {}): Promise<VirtualBench> {
  const clock = clockOf(options.clock);
  const timesName = options.times ?? 'typical';
  const times = { ...TIMES[timesName], ...options.timesOverride };
  const faults: BenchFaults = {};
  const usb = new VirtualUsb(clock, times, faults, options.usbEvents ?? true);
  const wire = new CanWire(clock);
  const kept: KeptBoard[] = [];
  const all = [options, ...(options.boards ?? [])];
  const boards = all.map((one, index) => {
    const folder = options.keepDir;
    const keep =
      folder === undefined ? undefined : new KeptBoard(index === 0 ? folder : join(folder, `board-${index}`));
    if (keep !== undefined) kept.push(keep);
    return startBoard(one, { clock, times, timesName, usb, keep });
  });
  const board = boards[0];
  if (board === undefined) throw new Error('a bench has a first board');
  const printer = new VirtualPrinter(clock, times, () => board.klipper);
  const role = canRole(options.state);
  if (role !== undefined) printer.wire = 'can';
  const via = role === 'bridge' || (role === undefined && options.can === undefined) ? 'board' : 'adapter';
  const around = { clock, times, timesName, wire, keepDir: options.keepDir };
  const can = new VirtualCan(around, options.can ?? {}, via, {
    uuid: canUuid(uidBytes(board.data)),
    isThere: () => board.klipper?.transport === 'bridge',
    dictionary: () => board.klipper?.dictionary,
    requestBootloader: () => board.requestBootloader(),
    isOwned: () => printer.serviceRunning && printer.wire === 'can',
  });
  board.socket.onLeftWire = () => {
    printer.boardLeft();
    can.boardLeft();
  };
  board.joinCan = (guest) => {
    const leave = can.boardNode.join(guest);
    return () => {
      leave();
      printer.boardLeft();
    };
  };
  const serial = new VirtualSerial(usb, (device) => {
    const klippers = device.busPath === board.data.busPath && device.info().productId === 0x614e;
    return printer.serviceRunning && klippers ? 'klipper.service' : undefined;
  });
  const settle = async (): Promise<void> => {
    const chips = [...boards, ...can.nodes];
    while (!chips.every((one) => one.settled)) await clock.sleep(1);
  };
  await settle();
  can.settled();
  return {
    clock,
    can,
    usb,
    gpio: new VirtualGpio(boards.map((one) => one.lines)),
    serial,
    printer,
    store: new MemoryStore(clock),
    locks: new MemoryLocks(),
    faults,
    state: options.state ?? 'used',
    board,
    flash: board.flash,
    lines: board.lines,
    boards,
    get electricalFaults() {
      return boards.flatMap((one) => one.lines.faults);
    },
    powerOn: () => board.powerOn(),
    powerCut: () => board.powerCut(),
    unplug: () => board.unplug(),
    replug: () => board.replug(),
    pressReset: async (ms = 100) => {
      board.lines.button(true);
      await clock.sleep(ms);
      board.lines.button(false);
    },
    setJumper: (fitted) => board.lines.setJumper(fitted),
    addDevice: ({ busPath, tty, ...facts }) => {
      const attachment = usb.attach(busPath, createForeignUsb({ ...FOREIGN, ...facts }, tty ?? false));
      return () => usb.detach(attachment);
    },
    settle,
    dispose: () => {
      for (const one of boards) one.stop();
      can.stop();
      for (const one of kept) one.close();
      clock.stop();
    },
  };
}

const FOREIGN = {
  bcdDevice: 0x0100,
  deviceClass: 0,
  maxPacket0: 64,
  manufacturer: 'Somebody',
  product: 'Something',
  serial: '0001',
} as const;

interface Surroundings {
  readonly clock: BenchClock;
  readonly times: BenchTimes;
  readonly timesName: TimesName;
  readonly usb: VirtualUsb;
  readonly keep: KeptBoard | undefined;
}

function startBoard(options: BenchBoardOptions, around: Surroundings): VirtualBoard {
  const { clock, times, usb, keep } = around;
  const plain = loadVirtualBoard(options.board ?? 'octopus-v1.1-f446');
  const data = { ...plain, busPath: options.busPath ?? plain.busPath, uid: options.uid ?? plain.uid };
  const whole = loadMcu(data.mcu);
  const mcu = options.flashKib === undefined ? whole : smallerPart(whole, options.flashKib);
  const flash = new FlashMemory(mcu, clock, { times: around.timesName });
  const lines = new BoardLines(clock, options.lines);
  const board = new VirtualBoard({
    data,
    flash,
    lines,
    romSettings: { ...defaultRomSettings(mcu.name), ...options.rom },
    firmwareSettings: { ...defaultFirmwareSettings(mcu.name), ...options.firmware },
    busPowered: options.busPowered ?? false,
    clock,
    times,
    usb,
  });
  const bytes = keep?.flash();
  if (bytes === undefined) fillFlash(flash, data, options.state ?? 'used');
  else flash.load(mcu.flashBase, bytes);
  keep?.followProtection(flash);
  const levels = keep?.levels();
  if (keep !== undefined) {
    let entry: BootEntry = levels?.entry ?? 'reset';
    const save = (): void =>
      keep.keepLevels({ pins: lines.pins(), entry, jumperFitted: lines.settings.jumperFitted });
    keep.follow(flash, flashSizeBytes(mcu));
    lines.onLineChange(save);
    board.onRunning = (now) => {
      entry = now;
      save();
    };
  }
  if (levels === undefined) {
    board.powerOn();
  } else {
    lines.settings.jumperFitted = options.lines?.jumperFitted ?? levels.jumperFitted;
    lines.restore(levels.pins);
    board.powerResume(levels.entry);
  }
  return board;
}
