// Composition, host.conf on the disk: read by what the opened file is, and written whole or not at all.
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readFile, readlink, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { requireOutsideRoots, type ResolvedFolder } from '../config/folders.ts';
import {
  NO_HOST_SETTINGS,
  readHostSettings,
  withArmed,
  type HostFileFacts,
  type HostSettings,
  type NamedFolder,
} from '../config/host-settings.ts';
import { decodeConfig } from '../config/sections.ts';
import { OctopusError } from '../errors.ts';
import type { ImageRights } from '../methods/image-source.ts';

/** What a first `octopus arm` begins with, and what install.sh puts there. */
const TEMPLATE = new URL('../../config/host.conf', import.meta.url);

export class HostFile {
  readonly path: string;
  readonly #home: string;
  readonly #roots: readonly string[];

  /** @param roots the folders that Moonraker's clients can write, as they are written */
  constructor(path: string, { home, roots }: { readonly home: string; readonly roots: readonly string[] }) {
    this.path = path;
    this.#home = home;
    this.#roots = roots;
  }

  /** As it is now; without a file nothing is open. Throws `bad-config`. */
  async read(): Promise<HostSettings> {
    const seen = await this.#look();
    return seen === undefined ? NO_HOST_SETTINGS : readHostSettings(seen.text, this.path, seen.facts);
  }

  /** Which images requests through Moonraker may name now. Throws `bad-config`. */
  async imageRights(uploads: string): Promise<ImageRights> {
    const { firmwareFolders, allowsUploads } = await this.read();
    const roots = await existing(this.#roots);
    const folders: ResolvedFolder[] = [];
    for (const { path, line } of firmwareFolders) {
      const real = await realpath(path).catch((): undefined => undefined);
      // One that is not there opens nothing.
      if (real === undefined) continue;
      const folder = { asWritten: path, real };
      requireOutsideRoots(folder, roots, { file: this.path, line, key: 'firmware_folders' });
      folders.push(folder);
    }
    if (!allowsUploads) return { folders, uploads: undefined };
    const real = await realpath(uploads).catch(() => uploads);
    return { folders, uploads: { asWritten: uploads, real } };
  }

  /** The source trees, those of no Moonraker root. Throws `bad-config`. */
  async sources(): Promise<ReadonlyMap<string, NamedFolder>> {
    return (await this.read()).sources;
  }

  /** Throws `bad-config`, `store-failed`. */
  async setArmed(isArmed: boolean): Promise<void> {
    const folder = dirname(this.path);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const { text, facts } = (await this.#look()) ?? (await this.#template(folder));
      await this.#replace(folder, withArmed(text, this.path, facts, isArmed));
    } catch (cause) {
      if (cause instanceof OctopusError) throw cause;
      throw new OctopusError('store-failed', `${this.path} cannot be written: ${String(cause)}`, {
        place: this.path,
        advice: 'Check the disk, and that the folder belongs to this user.',
        cause,
      });
    }
  }

  async #template(folder: string): Promise<{ text: string; facts: HostFileFacts }> {
    const real = join(await realpath(folder), basename(this.path));
    const roots = await existing(this.#roots);
    return {
      text: await readFile(TEMPLATE, 'utf8'),
      facts: { home: this.#home, mode: 0o600, isOwn: true, real, roots },
    };
  }

  async #replace(folder: string, text: string): Promise<void> {
    const unfinished = join(folder, `.host.conf.${randomUUID()}`);
    try {
      const file = await open(unfinished, 'wx', 0o600);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(unfinished, this.path);
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
  }

  async #look(): Promise<{ text: string; facts: HostFileFacts } | undefined> {
    const file = await open(this.path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
      if (isMissing(cause)) return undefined;
      throw new OctopusError('bad-config', `${this.path} cannot be read: ${String(cause)}`, {
        place: this.path,
        advice: 'Give the file to the user that runs octopus-flasher: chown, then chmod 600.',
        cause,
      });
    });
    if (file === undefined) return undefined;
    try {
      const stat = await file.stat();
      if (!stat.isFile() || stat.size > MAX_BYTES) {
        throw new OctopusError('bad-config', `${this.path} is no configuration file`, {
          place: this.path,
          advice: 'Move it away; "octopus arm" writes a new one.',
        });
      }
      const facts = {
        home: this.#home,
        mode: stat.mode & 0o7777,
        isOwn: stat.uid === process.getuid?.(),
        real: await readlink(`/proc/self/fd/${file.fd}`),
        roots: await existing(this.#roots),
      };
      // Strictly UTF-8: what was read by guess could not be written back as it was.
      return { text: decodeConfig(await file.readFile(), this.path), facts };
    } finally {
      await file.close();
    }
  }
}
const MAX_BYTES = 256 * 1024;

/** Where the folders really are; those that are not there cannot be written either. */
async function existing(paths: readonly string[]): Promise<readonly string[]> {
  const real = await Promise.all(paths.map((path) => realpath(path).catch((): undefined => undefined)));
  return real.filter((path) => path !== undefined);
}

function isMissing(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT';
}
