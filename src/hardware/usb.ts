// Hardware, port UsbBus: what sysfs tells, with hot-plug events and a look every 200 ms as a net. Where koffi loads,
// events are the kernel's own and transfers go straight to usbfs; else both come through the package usb (udevd's events).
import { existsSync } from 'node:fs';
import type { Unsubscribe, UsbBus, UsbChange, UsbDeviceInfo, UsbDfuDevice } from '../ports/usb.ts';
import { loadLibc, type Libc } from './libc.ts';
import { openDfu } from './usb-dfu.ts';
import { loadUsb, type NativeUsb } from './usb-native.ts';
import { UsbTree } from './usb-tree.ts';
import { hearKernel } from './usb-uevents.ts';
import { openUsbfs } from './usb-usbfs.ts';

const LOOK_EVERY_MS = 200;

export interface UsbRoots {
  readonly sysfs?: string;
  readonly nodes?: string;
  readonly proc?: string;
  readonly load?: () => Promise<NativeUsb>;
  readonly libc?: () => Promise<Libc | string>;
  /** `usb` or `usbfs` where the choice is not to be made by what loads: OCTOPUS_USB. */
  readonly force?: string | undefined;
}

export class HardwareUsb implements UsbBus {
  readonly #tree: UsbTree;
  readonly #places: { readonly nodes: string; readonly proc: string };
  readonly #load: () => Promise<NativeUsb>;
  readonly #libc: () => Promise<Libc | string>;
  readonly #listeners = new Set<(change: UsbChange) => void>();
  #watching: Watching | undefined;

  constructor({
    sysfs,
    nodes = '/dev/bus/usb',
    proc = '/proc',
    load = loadUsb,
    libc = loadLibc,
    force,
  }: UsbRoots = {}) {
    this.#tree = new UsbTree(sysfs);
    this.#places = { nodes, proc };
    this.#load = load;
    this.#libc = force === 'usb' ? async () => 'usb is asked for' : libc;
  }

  list(): Promise<readonly UsbDeviceInfo[]> {
    return this.#tree.list();
  }

  /** Costs something only while somebody listens. */
  onChange(listener: (change: UsbChange) => void): Unsubscribe {
    // One function may listen twice.
    const own = (change: UsbChange): void => listener(change);
    this.#listeners.add(own);
    this.#watching ??= new Watching(
      this.#tree,
      (onEvent) => this.#hear(onEvent),
      (change) => {
        for (const each of this.#listeners) each(change);
      },
    );
    return () => {
      this.#listeners.delete(own);
      if (this.#listeners.size > 0) return;
      this.#watching?.stop();
      this.#watching = undefined;
    };
  }

  async openDfu(info: UsbDeviceInfo): Promise<UsbDfuDevice> {
    const places = { tree: this.#tree, ...this.#places };
    const libc = await this.#libc();
    return typeof libc === 'string' ? openDfu(info, places, this.#load) : openUsbfs(info, places, libc);
  }

  async #hear(onEvent: () => void): Promise<Deafen> {
    const libc = await this.#libc();
    if (typeof libc !== 'string') return hearKernel(libc, onEvent);
    const emitter = new (await this.#load()).Emitter();
    await emitter.addAttach(onEvent);
    await emitter.addDetach(onEvent);
    return async () => {
      await emitter.removeAttach();
      await emitter.removeDetach();
    };
  }
}

/** How to stop hearing. */
type Deafen = () => Promise<void> | void;

/** From the first listener to the last: tells how each look differs from the one before. */
class Watching {
  readonly #tree: UsbTree;
  readonly #tell: (change: UsbChange) => void;
  readonly #events: Promise<Deafen>;
  readonly #timer: NodeJS.Timeout | undefined;
  #before: readonly UsbDeviceInfo[] | undefined;
  #looking: Promise<void> | undefined;
  #isAgain = false;
  #isOver = false;

  constructor(
    tree: UsbTree,
    hear: (onEvent: () => void) => Promise<Deafen>,
    tell: (change: UsbChange) => void,
  ) {
    [this.#tree, this.#tell] = [tree, tell];
    // Where the kernel has no USB nothing will ever come, and the package would have nothing to listen to.
    if (!existsSync(tree.root)) {
      this.#events = Promise.resolve(ignore);
      return;
    }
    // Without udevd, or without leave to hear it, the looks alone must do.
    this.#events = hear(() => this.#look()).catch(() => ignore);
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#look();
  }

  stop(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#forget().catch(ignore);
  }

  async #forget(): Promise<void> {
    const deafen = await this.#events;
    await deafen();
  }

  /** One at a time; what happens during a look is seen by the next. */
  #look(): void {
    if (this.#isOver) return;
    if (this.#looking !== undefined) {
      this.#isAgain = true;
      return;
    }
    this.#looking = this.#compare()
      .catch(ignore)
      .finally(() => {
        this.#looking = undefined;
        const isAgain = this.#isAgain;
        this.#isAgain = false;
        if (isAgain) this.#look();
      });
  }

  async #compare(): Promise<void> {
    const now = await this.#tree.list();
    const before = this.#before ?? now;
    this.#before = now;
    if (this.#isOver) return;
    for (const device of before) if (!isIn(now, device)) this.#tell({ kind: 'left', device });
    for (const device of now) if (!isIn(before, device)) this.#tell({ kind: 'arrived', device });
  }
}

function isIn(list: readonly UsbDeviceInfo[], device: UsbDeviceInfo): boolean {
  return list.some((one) => one.busPath === device.busPath && one.deviceNumber === device.deviceNumber);
}

function ignore(): void {}
