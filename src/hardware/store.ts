// Hardware, port Store: files below one folder, for its owner only. What was written is on the disk.
import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { OctopusError } from '../errors.ts';
import type { Store } from '../ports/store.ts';
import { loadLibc } from './libc.ts';

const KEY = /^[a-z0-9._-]+(\/[a-z0-9._-]+)*$/;
/** No key has this sign, so what a power cut left half-written is never taken for an entry. */
const UNFINISHED = '~';

export class FileStore implements Store {
  readonly #root: string;
  /** Folders that are there and were swept, and when. */
  readonly #swept = new Map<string, number>();

  readonly #forgetPages: (fd: number) => Promise<void>;

  /**
   * @param root the folder; made at the first write, with mode 0700
   * @param forgetPages of what was just synced: who reads it back to be sure gets what lies on the disk
   */
  constructor(root: string, forgetPages = forgetByLibc) {
    [this.#root, this.#forgetPages] = [root, forgetPages];
  }

  async read(key: string): Promise<Uint8Array | undefined> {
    const path = this.#pathOf(key);
    try {
      return new Uint8Array(await readFile(path));
    } catch (error) {
      if (isNothingThere(error)) return undefined;
      throw failed(path, 'cannot be read', error);
    }
  }

  /** The new bytes beside the old ones, synced, then renamed over them, and the rename synced too. */
  async write(key: string, bytes: Uint8Array): Promise<void> {
    const path = this.#pathOf(key);
    const folder = dirname(path);
    const unfinished = join(folder, `${UNFINISHED}${randomUUID()}`);
    try {
      const file = await this.#create(unfinished);
      try {
        await file.writeFile(bytes);
        await file.sync();
        await this.#forgetPages(file.fd);
      } finally {
        await file.close();
      }
      await rename(unfinished, path);
      await syncFolder(folder);
    } catch (error) {
      await rm(unfinished, { force: true }).catch(() => {});
      throw failed(path, 'cannot be written', error);
    }
  }

  async list(prefix: string): Promise<readonly string[]> {
    const folder = prefix === '' ? this.#root : this.#pathOf(prefix);
    try {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true });
      return entries
        .filter((entry) => entry.isFile())
        .map((entry) => relative(this.#root, join(entry.parentPath, entry.name)).split(sep).join('/'))
        .filter((key) => KEY.test(key))
        .sort();
    } catch (error) {
      if (isNothingThere(error)) return [];
      throw failed(folder, 'cannot be listed', error);
    }
  }

  async remove(key: string): Promise<void> {
    const path = this.#pathOf(key);
    try {
      await rm(path);
      await syncFolder(dirname(path));
    } catch (error) {
      if (!isNothingThere(error)) throw failed(path, 'cannot be removed', error);
    }
  }

  /** Throws `store-failed` for whatever would lead out of the folder. */
  #pathOf(key: string): string {
    if (!KEY.test(key) || key.split('/').some((part) => part === '.' || part === '..')) {
      throw new OctopusError('store-failed', `"${key}" is no key: parts of a-z 0-9 . _ - joined by /`, {
        place: key,
        advice: 'Board names in the configuration may hold a-z, 0-9, dots, dashes and underscores only.',
      });
    }
    return join(this.#root, ...key.split('/'));
  }

  async #create(path: string): Promise<FileHandle> {
    const folder = dirname(path);
    const sweptAt = this.#swept.get(folder) ?? Number.NEGATIVE_INFINITY;
    if (Date.now() - sweptAt < SWEEP_AFTER_MS) {
      // Somebody may have taken the folder away.
      const file = await open(path, 'wx', 0o600).catch((error: unknown) => {
        if (errnoOf(error) !== 'ENOENT') throw error;
      });
      if (file !== undefined) return file;
    }
    await this.#makeFolder(folder);
    this.#swept.set(folder, Date.now());
    return open(path, 'wx', 0o600);
  }

  /** A new folder is an entry of its parent: without syncing that, a power cut takes the folder and all in it. */
  async #makeFolder(folder: string): Promise<void> {
    const first = await mkdir(folder, { recursive: true, mode: 0o700 });
    if (first === undefined) {
      await sweep(folder);
      return;
    }
    for (let made = folder; made.length >= first.length; made = dirname(made))
      await syncFolder(dirname(made));
  }
}

/** A process that died while writing leaves its unfinished file; an hour later nobody writes to it any more. */
async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(UNFINISHED)) continue;
    const path = join(folder, name);
    const file = await open(path).catch(() => undefined);
    const stat = await file?.stat();
    await file?.close();
    if (stat !== undefined && Date.now() - stat.mtimeMs > SWEEP_AFTER_MS) await rm(path, { force: true });
  }
}
const SWEEP_AFTER_MS = 3_600_000;

/** Without libc a reader gets the copy in memory, as everywhere else. */
async function forgetByLibc(fd: number): Promise<void> {
  const libc = await loadLibc();
  if (typeof libc !== 'string') libc.forgetPages(fd);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function errnoOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined;
}

/** No such file, no such folder, or the key of a folder. */
function isNothingThere(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'EISDIR'].includes(errnoOf(error) ?? '');
}

function failed(path: string, what: string, cause: unknown): OctopusError {
  const errno = errnoOf(cause);
  const reason = String(cause).replace(/^Error: /, '');
  return new OctopusError('store-failed', `${path} ${what}: ${reason}`, {
    place: path,
    advice: CURES[errno ?? ''] ?? 'Check the disk: dmesg shows its errors, and SD cards wear out.',
    cause,
  });
}

const OWNER = 'Give the folder to the user that runs this program (chown -R), or choose another with --data.';
const CURES: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full: delete old logs or prints, then start again.',
  EDQUOT: 'The disk quota of this user is used up: delete old logs or prints, then start again.',
  EACCES: OWNER,
  EPERM: OWNER,
  EROFS: 'The disk is mounted read-only, as after an error: check it (dmesg), then restart the host.',
  ENOTDIR: 'A file lies where a folder is needed: move it away.',
  EEXIST: 'A file lies where a folder is needed: move it away.',
  EISDIR: 'A folder lies where a file is needed: move it away.',
};
