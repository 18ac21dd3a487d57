// Virtual bench, port CanHost: the host's CAN interfaces, and the bus behind them.

import { join } from 'node:path';
import { OctopusError } from '../errors.ts';
import type { CanBus, CanHost } from '../ports/can.ts';
import { AdapterDevice, BridgeDevice, type DeviceEvents } from './can-device.ts';
import { CanInterface } from './can-interface.ts';
import { CanStation } from './can-station.ts';
import { CanNode, DEFAULT_MODEL, type CanNodeOptions } from './can-node.ts';
import type { CanWire } from './can-wire.ts';
import { after, type BenchClock } from './clock.ts';
import { KeptBoard } from './keep.ts';
import type { BenchTimes, TimesName } from './times.ts';

export interface CanOptions {
  /** Default `can0`. */
  readonly interfaceName?: string;
  /** `down`: there, and nobody has set it up. Default `up`. */
  readonly state?: 'up' | 'down';
  /** Of the interface and of all nodes that say nothing else. Default 1 Mbit/s. */
  readonly bitrate?: number;
  /** Default 10, which is Linux's for CAN (drivers/net/can/dev/dev.c); Klipper's documents ask for 128. */
  readonly txQueueLength?: number;
  /** After so long Linux starts a controller that is bus-off again (`restart-ms`). Default 0: never. */
  readonly restartMs?: number;
  readonly nodes?: readonly CanNodeOptions[];
}

/** Our board, where it is the bridge. */
export interface BridgeBoard {
  readonly uuid: string;
  /** What it hands out over its own id. */
  dictionary(): Uint8Array | undefined;
  requestBootloader(): void;
  /** It runs as a bridge and the host has found it on USB. */
  isThere(): boolean;
  /** A running Klipper has it in its printer.cfg, and so has given it an id. */
  isOwned(): boolean;
}

/** klippy gives out ids from 4 up (klippy/extras/canbus_ids.py); the bridge gets the first. */
const FIRST_NODE_ID = 4;
const DEFAULT_BITRATE = 1_000_000;
const DEFAULT_QUEUE = 10;

export class VirtualCan implements CanHost {
  readonly wire: CanWire;
  readonly nodes: readonly CanNode[];
  /** Our board, while it runs what speaks CAN itself. */
  readonly boardNode: CanStation;
  readonly #clock: BenchClock;
  readonly #times: BenchTimes;
  readonly #options: CanOptions;
  readonly #board: BridgeBoard;
  readonly #boardName: string;
  readonly #hadAdapter: boolean;
  #adapter: CanInterface | undefined;
  #adapterState: 'absent' | 'up' | 'down' = 'absent';
  #bridge: CanInterface | undefined;
  #bridgeId = 0;

  /** @param via what the bus hangs on; nothing where the bench has no bus, until its board becomes a bridge */
  constructor(
    around: {
      readonly clock: BenchClock;
      readonly times: BenchTimes;
      readonly timesName: TimesName;
      readonly wire: CanWire;
      /** Where the nodes are kept. */
      readonly keepDir?: string | undefined;
    },
    options: CanOptions,
    via: 'adapter' | 'board',
    board: BridgeBoard,
  ) {
    this.#clock = around.clock;
    this.#times = around.times;
    this.#options = options;
    this.#board = board;
    this.wire = around.wire;
    const name = options.interfaceName ?? 'can0';
    this.#boardName = via === 'board' ? name : 'can1';
    const bitrate = options.bitrate ?? DEFAULT_BITRATE;
    const { clock, times, timesName, wire, keepDir } = around;
    this.nodes = (options.nodes ?? []).map((node, index) => {
      const folder = `toolhead-${index + 1}-${node.model ?? DEFAULT_MODEL}`;
      const keep = keepDir === undefined ? {} : { keep: new KeptBoard(join(keepDir, folder)) };
      return new CanNode({ clock, times, timesName, wire, bitrate, ...keep }, node, index);
    });
    this.boardNode = new CanStation(around, {
      uuid: board.uuid,
      bitrate,
      ownedId: () => (board.isOwned() ? FIRST_NODE_ID : 0),
    });
    this.#hadAdapter = via === 'adapter';
    if (via === 'adapter') this.#setAdapter(options.state ?? 'up');
  }

  async open(interfaceName: string): Promise<CanBus> {
    await Promise.resolve();
    const { name } = this.#adapterFacts();
    if (interfaceName === name && this.#adapterState !== 'absent') {
      if (this.#adapter === undefined) throw isDown(interfaceName);
      return this.#adapter.openSocket();
    }
    if (interfaceName === this.#boardName && this.#board.isThere()) {
      if (this.#options.state === 'down') throw isDown(interfaceName);
      this.#bridge ??= this.#startBridge();
      return this.#bridge.openSocket();
    }
    throw isAbsent(interfaceName);
  }

  /** The bench has settled: a Klipper that runs has found its bridge. */
  settled(): void {
    this.#look();
  }

  /**
   * The board's CAN side for a host outside the bench, whose own driver has the interface. No Klipper of the bench
   * owns it then.
   */
  startBridge(events: DeviceEvents): BridgeDevice {
    return new BridgeDevice(
      this.#bridgeAround(() => 0),
      this.#adapterFacts(),
      events,
    );
  }

  stop(): void {
    for (const node of this.nodes) node.stop();
  }

  /** Somebody types `ip link set can0 up` or `down`. */
  setLink(state: 'up' | 'down'): void {
    if (this.#adapterState !== 'absent') this.#setAdapter(state);
  }

  get hasAdapter(): boolean {
    return this.#adapterState !== 'absent';
  }

  /** The adapter's USB cable. */
  unplugAdapter(): void {
    this.#adapter?.end('gone');
    this.#adapter = undefined;
    this.#adapterState = 'absent';
  }

  /** It is set up again as udev and systemd-networkd do it. */
  replugAdapter(): void {
    if (this.#adapterState === 'absent' && this.#hadAdapter) this.#setAdapter('up');
  }

  /** The board left USB: its interface goes when the kernel has noticed, whatever was open on it. */
  boardLeft(): void {
    this.#bridgeId = 0;
    const bridge = this.#bridge;
    this.#bridge = undefined;
    // What waits in the chip is lost at once.
    bridge?.device.leave();
    if (bridge !== undefined) after(this.#clock, this.#times.noticeLeftMs, () => bridge.end('gone'));
  }

  /** The id that Klipper has given the bridge. It keeps it when Klipper stops, until it is reset. */
  #look(): number {
    if (this.#board.isThere() && this.#board.isOwned()) this.#bridgeId = FIRST_NODE_ID;
    return this.#bridgeId;
  }

  #adapterFacts() {
    return {
      name: this.#options.interfaceName ?? 'can0',
      bitrate: this.#options.bitrate ?? DEFAULT_BITRATE,
      txQueueLength: this.#options.txQueueLength ?? DEFAULT_QUEUE,
    };
  }

  #setAdapter(state: 'up' | 'down'): void {
    this.#adapter?.end('down');
    this.#adapter = undefined;
    this.#adapterState = state;
    if (state === 'down') return;
    const facts = this.#adapterFacts();
    const restartMs = this.#options.restartMs ?? 0;
    this.#adapter = new CanInterface(facts.name, this.#clock, this.#times.transferMs, (events) => {
      const device: AdapterDevice = new AdapterDevice(this.wire, facts, {
        ...events,
        trouble: (trouble) => {
          events.trouble(trouble);
          if (trouble === 'bus-off' && restartMs > 0)
            after(this.#clock, restartMs, () => {
              if (this.wire.isAttached(device.controller)) device.controller.restart();
            });
        },
      });
      return device;
    });
  }

  #startBridge(): CanInterface {
    return new CanInterface(
      this.#boardName,
      this.#clock,
      this.#times.transferMs,
      (events) =>
        new BridgeDevice(
          this.#bridgeAround(() => this.#look()),
          this.#adapterFacts(),
          events,
        ),
    );
  }

  #bridgeAround(ownedId: () => number) {
    return {
      clock: this.#clock,
      wire: this.wire,
      uuid: this.#board.uuid,
      ownedId,
      dictionary: this.#board.dictionary(),
      reboot: () => this.#board.requestBootloader(),
    };
  }
}

function isAbsent(name: string): OctopusError {
  return new OctopusError('no-hardware', `${name} is absent`, {
    place: name,
    advice:
      'Look at `ip link`, at the cable, and at the power of the bridge: its interface is there only while it runs.',
  });
}

function isDown(name: string): OctopusError {
  return new OctopusError('no-hardware', `${name} is down`, {
    place: name,
    advice: `Set it up: sudo ip link set ${name} up type can bitrate 1000000 (or the bitrate of your bus).`,
  });
}
