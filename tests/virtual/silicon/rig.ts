// A chip on the table: a clock that moves only when told, a flash, a ROM, and DFU requests by name.
import { FlashMemory } from '../../../src/virtual/silicon/flash-memory.ts';
import type { FlashOptions } from '../../../src/virtual/silicon/flash-memory.ts';
import { loadMcu } from '../../../src/virtual/silicon/mcu-data.ts';
import { createRomDfu } from '../../../src/virtual/silicon/rom-dfu.ts';
import type { RomDfuOptions } from '../../../src/virtual/silicon/rom-dfu.ts';
import { defaultRomSettings } from '../../../src/virtual/silicon/rom-settings.ts';
import type { RomSettings } from '../../../src/virtual/silicon/rom-settings.ts';
import type { McuName } from '../../../src/virtual/silicon/silicon.ts';
import type { Clock } from '../../../src/ports/clock.ts';

export class TableClock implements Clock {
  #now = 0;
  #sleepers: { at: number; wake: () => void }[] = [];
  now(): number {
    return this.#now;
  }
  date(): number {
    return this.#now;
  }
  get sleepers(): number {
    return this.#sleepers.length;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(new DOMException('aborted', 'AbortError'));
      };
      const sleeper = { at: this.#now + ms, wake: resolve };
      if (signal?.aborted === true) aborted();
      else this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', aborted, { once: true });
    });
  }
  /** Time goes on by `ms`, waking whoever is due on the way. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await turn();
    for (let next = this.#next(); next !== undefined && next.at <= end; next = this.#next()) {
      this.#sleepers = this.#sleepers.filter((other) => other !== next);
      this.#now = Math.max(this.#now, next.at);
      next.wake();
      await turn();
    }
    this.#now = end;
  }
  /** Time goes on until `promise` is settled. */
  async run<T>(promise: Promise<T>): Promise<T> {
    const state = { settled: false };
    void promise.finally(() => (state.settled = true)).catch(() => {});
    for (await turn(); !state.settled; await turn()) {
      const next = this.#next();
      if (next === undefined) throw new Error('nobody sleeps and nothing comes');
      await this.advance(next.at - this.#now);
    }
    return promise;
  }
  #next(): { at: number; wake: () => void } | undefined {
    return this.#sleepers.toSorted((a, b) => a.at - b.at)[0];
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

export function unhex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

/** The UID of a real F446, stored public file 7783552584. */
export const UID = unhex('0B0027000A50534E4E313020');

export interface RigOptions extends FlashOptions {
  readonly settings?: Partial<RomSettings>;
  readonly uid?: Uint8Array;
  readonly rom?: Pick<RomDfuOptions, 'heldMs' | 'wireTime'>;
}

export function rig(name: McuName, options: RigOptions = {}) {
  const clock = new TableClock();
  const mcu = loadMcu(name);
  const flash = new FlashMemory(mcu, clock, options);
  const events: string[] = [];
  const rom = createRomDfu({
    mcu,
    flash,
    clock,
    uid: options.uid ?? UID,
    settings: { ...defaultRomSettings(name), ...options.settings },
    ...options.rom,
    onLeave: (address) => events.push(`leave 0x${address.toString(16)}`),
    onReset: () => events.push('reset'),
  });
  const send = (type: number, request: number, value: number, data: Uint8Array | number): Promise<string> => {
    const wLength = typeof data === 'number' ? data : data.length;
    const setup = { bmRequestType: type, bRequest: request, wValue: value, wIndex: 0, wLength };
    const bytes = typeof data === 'number' ? new Uint8Array(0) : data;
    return rom.control(setup, bytes).then((a) => (a === 'stall' ? a : hex(a)));
  };
  const run = (type: number, request: number, value: number, data: Uint8Array | number): Promise<string> =>
    clock.run(send(type, request, value, data));
  const dfu = {
    send,
    detach: () => run(0x21, 0, 0, 0),
    dnload: (block: number, data: Uint8Array) => run(0x21, 1, block, data),
    upload: (block: number, length: number) => run(0xa1, 2, block, length),
    getStatus: () => run(0xa1, 3, 0, 6),
    clrStatus: () => run(0x21, 4, 0, 0),
    getState: () => run(0xa1, 5, 0, 1),
    abort: () => run(0x21, 6, 0, 0),
    descriptor: (type: number, index: number, length = 255) => run(0x80, 6, (type << 8) | index, length),
    standard: run,
    /** DNLOAD, then GETSTATUS twice: both answers. */
    async command(block: number, data: Uint8Array): Promise<string[]> {
      const accepted = await dfu.dnload(block, data);
      return accepted === '' ? [await dfu.getStatus(), await dfu.getStatus()] : [accepted];
    },
    /** From the F4's cold dfuERROR to dfuIDLE, as dfu-util does. */
    async settle(): Promise<string> {
      if ((await dfu.getState()) === '0a') await dfu.clrStatus();
      return dfu.getStatus();
    },
    /** SET_ADDRESS, then ABORT: ready to read. */
    async aim(address: number): Promise<string[]> {
      const answers = await dfu.command(0, withAddress(0x21, address));
      await dfu.abort();
      return answers;
    },
  };
  return { clock, mcu, flash, rom, dfu, events };
}

/** A DfuSe command with its address, least significant byte first. */
export function withAddress(command: number, address: number): Uint8Array {
  return Uint8Array.of(command, address, address >> 8, address >> 16, address >>> 24);
}

export function filled(length: number, byte: number): Uint8Array {
  return new Uint8Array(length).fill(byte);
}
