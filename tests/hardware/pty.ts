// A pseudo-terminal of this machine: its far end is ours. Linux include/uapi/asm-generic/ioctls.h.
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { loadLibc, type Libc } from '../../src/hardware/libc.ts';

const TIOCGPTN = 0x8004_5430;
const TIOCSPTLCK = 0x4004_5431;

/** The master's end, whose reads do not wait; `path` is what a client opens. */
export function openMaster(libc: Libc): { readonly fd: number; readonly path: string } {
  const fd = openSync('/dev/ptmx', constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  const number = new Int32Array(1);
  libc.ioctl(fd, TIOCSPTLCK, new Uint8Array(4));
  libc.ioctl(fd, TIOCGPTN, new Uint8Array(number.buffer));
  return { fd, path: `/dev/pts/${number[0]}` };
}

/** @param onBytes what the far end does with what it reads; without it nothing is read */
export async function openPty(onBytes?: (bytes: Uint8Array, reply: (bytes: Uint8Array) => void) => void) {
  const libc = await loadLibc();
  if (typeof libc === 'string') throw new Error(libc);
  const { fd, path } = openMaster(libc);
  const reply = (bytes: Uint8Array) => void writeSync(fd, bytes);
  const timer = setInterval(() => {
    if (onBytes === undefined) return;
    const buffer = new Uint8Array(4096);
    try {
      const count = readSync(fd, buffer);
      onBytes(buffer.subarray(0, count), reply);
    } catch {
      // Nothing there, or nobody at the other end.
    }
  }, 2);
  let isOpen = true;
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    clearInterval(timer);
    closeSync(fd);
  };
  return { path, reply, close };
}
