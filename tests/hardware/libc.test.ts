// The system calls through koffi that take addresses, on this kernel: FIONREAD (asm-generic/ioctls.h) writes an int.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadLibc, type Libc } from '../../src/hardware/libc.ts';

const FIONREAD = 0x541b;
/** asm-generic/errno-base.h */
const [EBADF, EFAULT] = [9, 14];

let libc: Libc;
let folder: string;
let file: FileHandle;
beforeEach(async () => {
  const loaded = await loadLibc();
  if (typeof loaded === 'string') throw new Error(loaded);
  libc = loaded;
  folder = mkdtempSync(join(tmpdir(), 'octopus-libc-'));
  writeFileSync(join(folder, 'five'), 'bytes');
  file = await open(join(folder, 'five'));
});
afterEach(async () => {
  await file.close();
  rmSync(folder, { recursive: true });
});

test("a process's pointers", () => {
  expect(libc.pointerBytes).toBe(process.arch === 'arm' || process.arch === 'ia32' ? 4 : 8);
});

test('memory: zeroed, and the kernel writes where it lies', () => {
  const memories = Array.from({ length: 50 }, () => libc.allocate(4200));
  expect(new Set(memories.map(({ address }) => address)).size).toBe(50);
  for (const { address, bytes } of memories) {
    expect(bytes).toHaveLength(4200);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    expect(libc.tryIoctl(file.fd, FIONREAD, address)).toBe(0);
    expect([...bytes.slice(0, 5)]).toEqual([5, 0, 0, 0, 0]);
  }
  for (const memory of memories) memory.free();
});

test('pages are forgotten of a file that is open', () => {
  expect(libc.forgetPages(file.fd)).toBe(0);
  expect(libc.forgetPages(-1)).toBe(EBADF);
});

test('refused: errno is the answer, in a thread it is the error', async () => {
  const bytes = new Uint8Array(4);
  expect(libc.tryIoctl(file.fd, FIONREAD, bytes)).toBe(0);
  expect([...bytes]).toEqual([5, 0, 0, 0]);
  expect(libc.tryIoctl(-1, FIONREAD, bytes)).toBe(EBADF);
  expect(libc.tryIoctl(file.fd, FIONREAD, 16n)).toBe(EFAULT);
  const memory = libc.allocate(4);
  await libc.waitIoctl(file.fd, FIONREAD, memory.address);
  expect([...memory.bytes]).toEqual([5, 0, 0, 0]);
  // Beside others, each has its own errno.
  const failing = [-1, file.fd].map((fd) => libc.waitIoctl(fd, FIONREAD, 16n));
  const codes = (await Promise.allSettled(failing)).map((one) =>
    one.status === 'rejected' ? one.reason.code : 'done',
  );
  expect(codes).toEqual(['EBADF', 'EFAULT']);
  memory.free();
});
