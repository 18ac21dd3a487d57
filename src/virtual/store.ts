// Virtual bench, port Store: files in memory, with a disk that may forget what was not yet flushed.

import { OctopusError } from '../errors.ts';
import type { Store } from '../ports/store.ts';
import type { BenchClock } from './clock.ts';

const KEY = /^[a-z0-9._-]+(\/[a-z0-9._-]+)*$/;

export class MemoryStore implements Store {
  /** How long a write takes until it is on the disk. */
  flushMs = 0;
  /** Set to make writes fail, as a full or broken disk does. */
  failWrites = false;
  readonly #clock: BenchClock;
  readonly #disk = new Map<string, Uint8Array>();
  #life = 0;
  #landing: 'old' | 'new' = 'old';

  constructor(clock: BenchClock) {
    this.#clock = clock;
  }

  async read(key: string): Promise<Uint8Array | undefined> {
    checkKey(key);
    await Promise.resolve();
    return this.#disk.get(key)?.slice();
  }

  async write(key: string, bytes: Uint8Array): Promise<void> {
    checkKey(key);
    const copy = bytes.slice();
    const life = this.#life;
    if (this.failWrites) throw failed(key, 'no space left on device');
    if (this.flushMs > 0) await this.#clock.sleep(this.flushMs);
    else await Promise.resolve();
    // The power went in between: the old bytes stay, or the new ones are there, whole, and nobody is told.
    if (life === this.#life || this.#landing === 'new') this.#disk.set(key, copy);
    return life === this.#life ? undefined : new Promise<void>(() => {});
  }

  async list(prefix: string): Promise<readonly string[]> {
    await Promise.resolve();
    const keys = [...this.#disk.keys()].filter((key) => prefix === '' || key.startsWith(`${prefix}/`));
    return keys.sort();
  }

  async remove(key: string): Promise<void> {
    checkKey(key);
    await Promise.resolve();
    this.#disk.delete(key);
  }

  /** The host's power goes: writes under way are lost, or have just landed; what was resolved stays. */
  loseUnflushed(landing: 'old' | 'new' = 'old'): void {
    this.#landing = landing;
    this.#life++;
  }
}

function checkKey(key: string): void {
  if (!KEY.test(key) || key.split('/').some((part) => part === '.' || part === '..')) {
    throw failed(key, 'not a key of [a-z0-9._-] parts');
  }
}

function failed(key: string, why: string): OctopusError {
  return new OctopusError('store-failed', `${key}: ${why}`, {
    advice: 'Check that the disk has space and is not read-only.',
    place: key,
  });
}
