// Methods: the image file, read once. These bytes are inspected, hashed and written; the file is not looked at again.
import { constants } from 'node:fs';
import { open, readlink, type FileHandle } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { OctopusError } from '../errors.ts';
import { tooLargeImage } from '../firmware/complaints.ts';
import { MAX_FLASH } from '../firmware/memory-map.ts';
import type { ImageFile } from '../flash/preflight.ts';

/** The most that is read: HEX and ELF hold at most MAX_FLASH bytes of image in several times as many of their own. */
const MAX_FILE = 8 * MAX_FLASH;

/**
 * @param judge is told the real path of the opened file before a byte of it is read, and may throw
 * Throws `file-unreadable` naming the path and the cure; `image-too-large` for what no container can need.
 */
export async function readImageFile(
  path: string,
  judge: (realPath: string) => void = () => {},
): Promise<ImageFile> {
  // Not to hang on a pipe that nobody writes to.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  try {
    judge(await readlink(`/proc/self/fd/${file.fd}`));
    const stat = await file.stat();
    if (stat.isDirectory()) throw notAFile(path, 'a folder');
    if (!stat.isFile()) throw notAFile(path, 'no regular file');
    if (stat.size > MAX_FILE) throw tooLargeImage(basename(path), stat.size);
    return { name: basename(path), bytes: await readAll(file, path) };
  } finally {
    await file.close();
  }
}

/** To its end, which may have moved since its size was asked. */
async function readAll(file: FileHandle, path: string): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let total = 0;
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK_BYTES)).catch((cause: unknown) => {
      throw unreadable(path, cause);
    });
    if (bytesRead === 0) return new Uint8Array(Buffer.concat(chunks, total));
    chunks.push(buffer.subarray(0, bytesRead));
    total += bytesRead;
    if (total > MAX_FILE) throw tooLargeImage(basename(path), total);
  }
}
const CHUNK_BYTES = 256 * 1024;

function notAFile(path: string, what: string): OctopusError {
  return new OctopusError('file-unreadable', `${path} is ${what}`, {
    place: resolve(path),
    advice: 'Give the firmware file itself, for example klipper/out/klipper.bin.',
  });
}

function unreadable(path: string, cause: unknown): OctopusError {
  const errno = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : '';
  const cures: Readonly<Record<string, string>> = {
    ENOENT: 'There is no such file: check the path, or build the firmware first.',
    ENOTDIR: 'There is no such file: a part of the path is a file itself.',
    EACCES: 'This user may not read it: chmod a+r the file, or copy it.',
    EISDIR: 'Give the firmware file itself, for example klipper/out/klipper.bin.',
  };
  return new OctopusError('file-unreadable', `${path} cannot be read: ${reasonOf(cause)}`, {
    place: resolve(path),
    advice: cures[errno] ?? 'Check the disk and the path.',
    cause,
  });
}

/** Node's own text without the call and the path, which are said already. */
function reasonOf(cause: unknown): string {
  const message = String(cause).replace(/^Error: /, '');
  return message.replace(/^[A-Z]+: /, '').replace(/, \w+( '.*')?$/, '');
}
