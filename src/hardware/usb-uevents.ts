// Hardware, USB: who comes and who leaves, told by the kernel itself (uevents over netlink). udevd passes the same on when
// it has done its own work: in a test 160 ms after a device had left, and reset is held until it has.
// Linux lib/kobject_uevent.c, include/uapi/linux/netlink.h.
import { closeSync, readSync } from 'node:fs';
import type { Libc } from './libc.ts';
import { errnoOf } from './system-error.ts';

const AF_NETLINK = 16;
/** SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC */
const SOCK_RAW_NONBLOCK = 3 | 0x800 | 0x8_0000;
const NETLINK_KOBJECT_UEVENT = 15;
/** The group of the kernel's own events; udevd's are 2. */
const KERNEL_GROUP = 1;
/** UEVENT_BUFFER_SIZE is 2048; what precedes it is shorter than a path. */
const MESSAGE_BYTES = 8192;

/**
 * Calls `onEvent` for each USB device that has its configuration or has left, and when events were lost.
 * Throws where this process may not hear them. Answers how to stop.
 */
export function hearKernel(libc: Libc, onEvent: () => void): () => void {
  const fd = libc.socket(AF_NETLINK, SOCK_RAW_NONBLOCK, NETLINK_KOBJECT_UEVENT);
  try {
    libc.bind(fd, encodeAddress());
    const watch = libc.watch(fd, { readable: true }, () => {
      if (drain(fd)) onEvent();
    });
    return () => {
      watch.stop();
      closeSync(fd);
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Everything that waits; whether something of it is to be told. */
function drain(fd: number): boolean {
  const buffer = new Uint8Array(MESSAGE_BYTES);
  for (let isNews = false; ;) {
    try {
      const count = readSync(fd, buffer);
      if (count === 0) return isNews;
      isNews ||= tellsOfDevice(buffer.subarray(0, count));
    } catch (error) {
      // ENOBUFS: there were more than the socket holds.
      return isNews || errnoOf(error) !== 'EAGAIN';
    }
  }
}

/**
 * `ACTION@PATH`, then `KEY=VALUE`, each with a zero at its end. `bind` of a device comes when it is configured and its
 * drivers have made their nodes; `add` comes before anything can be done with it.
 */
export function tellsOfDevice(message: Uint8Array): boolean {
  const [head = '', ...pairs] = new TextDecoder().decode(message).split('\0');
  return /^(bind|remove)@/.test(head) && pairs.includes('DEVTYPE=usb_device');
}

/** struct sockaddr_nl; the kernel chooses the port. */
function encodeAddress(): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_NETLINK, true);
  view.setUint32(8, KERNEL_GROUP, true);
  return bytes;
}
