// A process of ours on the bench that can die at any moment: from then on no call of its has any effect or is ever answered,
// and what it held open is closed as the kernel closes it. A GPIO line keeps its level; a lock dies with its holder.
import type { JobKit } from '../../src/jobs/runner.ts';
import type { ByteChannel } from '../../src/ports/bytes.ts';
import type { CanBus } from '../../src/ports/can.ts';
import type { GpioLines } from '../../src/ports/gpio.ts';
import type { UsbDfuDevice } from '../../src/ports/usb.ts';
import type { VirtualBench } from '../../src/virtual/bench.ts';
import type { Timeline } from './timeline.ts';

export class Mortal {
  readonly kit: JobKit;
  readonly #timeline: Pick<Timeline, 'pass'>;
  readonly #held = new Map<string, () => unknown>();
  readonly #mourners = new Set<() => void>();
  #isDead = false;
  #opened = 0;

  constructor(bench: VirtualBench, timeline: Pick<Timeline, 'pass'>) {
    this.#timeline = timeline;
    this.kit = {
      can: {
        open: (name) =>
          this.#open(
            'can.open',
            () => bench.can.open(name),
            (bus, forget) => this.#canBus(bus, forget),
          ),
      },
      clock: {
        now: () => bench.clock.now(),
        date: () => bench.clock.date(),
        sleep: (ms, signal) => this.#unseen(() => bench.clock.sleep(ms, signal)),
      },
      gpio: {
        open: (pins) =>
          this.#open(
            'gpio.open',
            () => bench.gpio.open(pins),
            (lines, forget) => this.#lines(lines, forget),
          ),
      },
      locks: {
        acquire: (name) =>
          this.#open(
            `lock ${name}`,
            () => bench.locks.acquire(name),
            (unlock, forget) => async () => {
              await this.#seen(`unlock ${name}`, unlock);
              forget();
            },
          ),
      },
      printer: this.#printer(bench),
      serial: {
        open: (path) =>
          this.#open(
            'serial.open',
            () => bench.serial.open(path),
            (channel, forget) => this.#channel(channel, forget),
          ),
        touch1200: (path) => this.#seen('serial.touch1200', () => bench.serial.touch1200(path)),
      },
      store: this.#store(bench),
      usb: {
        list: () => this.#unseen(() => bench.usb.list()),
        onChange: (listener) =>
          this.#listen('usb.onChange', (alive) =>
            bench.usb.onChange((change) => alive(() => listener(change))),
          ),
        openDfu: (info) =>
          this.#open(
            'usb.open',
            () => bench.usb.openDfu(info),
            (device, forget) => this.#dfu(device, forget),
          ),
      },
    };
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** Calls once, at its death. Answers how to hear of it no more. */
  onDeath(listener: () => void): () => void {
    this.#mourners.add(listener);
    return () => void this.#mourners.delete(listener);
  }

  /** What it has open, and what it listens to. */
  get held(): readonly string[] {
    return [...this.#held.keys()];
  }

  /** SIGKILL, or its end: the kernel cleans up. */
  die(): void {
    this.#isDead = true;
    for (const listener of this.#mourners) listener();
    this.#mourners.clear();
    for (const close of this.#held.values()) void close();
    this.#held.clear();
  }

  /** A call with a moment before it and one behind it. */
  async #seen<T>(what: string, call: () => Promise<T>): Promise<T> {
    this.#pass(what);
    if (this.#isDead) return never();
    const answer = await this.#unseen(call);
    this.#pass(`${what}, done`);
    return this.#isDead ? never() : answer;
  }

  /** A call that changes nothing, or whose moments a wire tells. */
  async #unseen<T>(call: () => Promise<T>): Promise<T> {
    if (this.#isDead) return never();
    try {
      const answer = await call();
      return this.#isDead ? await never<T>() : answer;
    } catch (error) {
      if (this.#isDead) return never();
      throw error;
    }
  }

  #pass(what: string): void {
    if (!this.#isDead) this.#timeline.pass('none', what);
  }

  /** Something that the kernel closes when its holder dies, even one that is opened in that very moment. */
  async #open<T extends Handle, R>(
    what: string,
    call: () => Promise<T>,
    wrap: (handle: T, forget: () => void) => R,
  ): Promise<R> {
    this.#pass(what);
    if (this.#isDead) return never();
    const close = (handle: T) => (typeof handle === 'function' ? handle() : handle.close());
    const opening = call();
    const name = `${what} (${++this.#opened})`;
    const forget = () => void this.#held.delete(name);
    try {
      const handle = await opening;
      if (this.#isDead) {
        void close(handle);
        return await never<R>();
      }
      this.#held.set(name, () => close(handle));
      this.#pass(`${what}, done`);
      return this.#isDead ? await never<R>() : wrap(handle, forget);
    } catch (error) {
      if (this.#isDead) return never();
      throw error;
    }
  }

  #listen(what: string, subscribe: Subscribe): () => void {
    const unsubscribe = subscribe((tell) => {
      if (!this.#isDead) tell();
    });
    const name = `${what} (${++this.#opened})`;
    this.#held.set(name, unsubscribe);
    return () => {
      this.#held.delete(name);
      unsubscribe();
    };
  }

  #dfu(device: UsbDfuDevice, forget: () => void): UsbDfuDevice {
    return {
      info: device.info,
      controlOut: (setup, data, timeoutMs) => this.#unseen(() => device.controlOut(setup, data, timeoutMs)),
      controlIn: (setup, length, timeoutMs) => this.#unseen(() => device.controlIn(setup, length, timeoutMs)),
      close: () => this.#close('usb.close', device, forget),
    };
  }

  #channel(channel: ByteChannel, forget: () => void): ByteChannel {
    return {
      write: (bytes) => this.#unseen(() => channel.write(bytes)),
      read: (timeoutMs) => this.#unseen(() => channel.read(timeoutMs)),
      close: () => this.#close('serial.close', channel, forget),
    };
  }

  /** Who listened to it hears nothing more once it is closed. */
  #canBus(bus: CanBus, forget: () => void): CanBus {
    const listeners: (() => void)[] = [];
    const listen = (what: string, subscribe: Subscribe) => {
      const stop = this.#listen(what, subscribe);
      listeners.push(stop);
      return stop;
    };
    return {
      send: (frame) => this.#unseen(() => bus.send(frame)),
      onFrame: (listener) =>
        listen('can.onFrame', (alive) => bus.onFrame((frame) => alive(() => listener(frame)))),
      onTrouble: (listener) =>
        listen('can.onTrouble', (alive) => bus.onTrouble((trouble) => alive(() => listener(trouble)))),
      close: () =>
        this.#close('can.close', bus, () => {
          for (const stop of listeners) stop();
          forget();
        }),
    };
  }

  #lines(lines: GpioLines, forget: () => void): GpioLines {
    return {
      set: (levels) =>
        this.#seen(
          `gpio.set ${Object.entries(levels)
            .map(([line, level]) => `${line} ${level}`)
            .join(' ')}`,
          () => lines.set(levels),
        ),
      read: () => this.#unseen(() => lines.read()),
      close: () => this.#close('gpio.close', lines, forget),
    };
  }

  async #close(what: string, handle: { close(): Promise<void> }, forget: () => void): Promise<void> {
    await this.#seen(what, () => handle.close());
    forget();
  }

  /** Moonraker carries out what it was asked, whether or not anybody waits for the answer. */
  #printer({ printer }: VirtualBench): JobKit['printer'] {
    return {
      read: () => this.#seen('printer.read', () => printer.read()),
      stopKlipper: () => this.#seen('printer.stop', () => printer.stopKlipper()),
      startKlipper: () => this.#seen('printer.start', () => printer.startKlipper()),
      onForeignStart: (listener) =>
        this.#listen('printer.onForeignStart', (alive) => printer.onForeignStart(() => alive(listener))),
      setPower: (device, state) =>
        this.#seen(`printer.power ${state}`, () => printer.setPower(device, state)),
      canNodes: () => this.#seen('printer.can-nodes', () => printer.canNodes()),
      verdict: (timeoutMs) => this.#seen('printer.verdict', () => printer.verdict(timeoutMs)),
    };
  }

  /** A write has two moments in its middle: one in which it may be lost yet, one in which it has just landed. */
  #store({ store }: VirtualBench): JobKit['store'] {
    return {
      read: (key) => this.#unseen(() => store.read(key)),
      list: (prefix) => this.#unseen(() => store.list(prefix)),
      write: (key, bytes) =>
        this.#seen(`store.write ${kindOf(key)}`, () => {
          const done = store.write(key, bytes);
          this.#pass(`store.write ${kindOf(key)}, under way`);
          this.#pass(`store.write ${kindOf(key)}, landing`);
          return done;
        }),
      remove: (key) => this.#seen(`store.remove ${kindOf(key)}`, () => store.remove(key)),
    };
  }
}

/** What is heard is told through `alive`, as long as the process is. Answers how to hear no more. */
type Subscribe = (alive: (tell: () => void) => void) => () => void;

type Handle = (() => Promise<void>) | { close(): Promise<void> };

/** `journal/octopus.json` is a journal. */
function kindOf(key: string): string {
  return key.split('/', 1)[0] ?? key;
}

function never<T>(): Promise<T> {
  return new Promise<T>(() => {});
}
