// Virtual bench, what outlives the process: flash bytes, protection and line levels in a directory.
//
// Every write is synchronous and small, so a kill between any two of them leaves what a real board would hold.

import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { BootEntry } from './board.ts';
import type { Drive } from './lines.ts';
import type { ChipFlash } from './cpu.ts';

export interface KeptLevels {
  readonly pins: Readonly<Record<string, Drive>>;
  readonly entry: BootEntry;
  readonly jumperFitted: boolean;
}

/** The chip's option bytes, as far as the bench knows them. */
export interface KeptProtection {
  readonly readProtected: boolean;
  /** Start addresses of sectors. */
  readonly writeProtected: readonly number[];
}

/** What a toolhead has in RAM that matters, for as long as its power is on. */
export interface KeptNode {
  readonly entry: 'katapult' | 'reset';
  readonly nodeId?: number;
}

export class KeptBoard {
  readonly #folder: string;
  #fd: number | undefined;
  #forget: () => void = () => {};

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  flash(): Uint8Array | undefined {
    const file = join(this.#folder, 'flash.bin');
    return existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined;
  }

  levels(): KeptLevels | undefined {
    const file = join(this.#folder, 'levels.json');
    if (!existsSync(file)) return undefined;
    const kept: KeptLevels = JSON.parse(readFileSync(file, 'utf8'));
    return kept;
  }

  node(): KeptNode | undefined {
    const file = join(this.#folder, 'node.json');
    if (!existsSync(file)) return undefined;
    const kept: KeptNode = JSON.parse(readFileSync(file, 'utf8'));
    return kept;
  }

  /** From now on each changed range goes to the file, at its place. */
  follow(flash: ChipFlash, sizeBytes: number): void {
    const { flashBase } = flash.mcu;
    const file = join(this.#folder, 'flash.bin');
    if (!existsSync(file)) this.#replace('flash.bin', flash.peek(flashBase, sizeBytes));
    const fd = openSync(file, 'r+');
    this.#fd = fd;
    this.#forget = flash.onChange((address, bytes) => {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(fd, bytes, done, bytes.length - done, address - flashBase + done);
      }
    });
  }

  /** What was kept holds from now on, and what the chip itself changes of it is kept. */
  followProtection(flash: ChipFlash): void {
    const file = join(this.#folder, 'protection.json');
    if (existsSync(file)) {
      const kept: KeptProtection = JSON.parse(readFileSync(file, 'utf8'));
      flash.readProtected = kept.readProtected;
      for (const address of kept.writeProtected) flash.writeProtected.add(address);
    }
    const save = (): void => {
      const now: KeptProtection = {
        readProtected: flash.readProtected,
        writeProtected: [...flash.writeProtected],
      };
      this.#replace('protection.json', Buffer.from(`${JSON.stringify(now)}\n`));
    };
    save();
    flash.onProtection = save;
  }

  keepLevels(levels: KeptLevels): void {
    this.#replace('levels.json', Buffer.from(`${JSON.stringify(levels)}\n`));
  }

  keepNode(node: KeptNode): void {
    this.#replace('node.json', Buffer.from(`${JSON.stringify(node)}\n`));
  }

  close(): void {
    this.#forget();
    if (this.#fd !== undefined) {
      fsyncSync(this.#fd);
      closeSync(this.#fd);
    }
    this.#fd = undefined;
  }

  #replace(name: string, bytes: Uint8Array): void {
    const path = join(this.#folder, name);
    writeFileSync(`${path}.new`, bytes);
    renameSync(`${path}.new`, path);
  }
}
