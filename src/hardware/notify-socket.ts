// Hardware, one datagram to a Unix socket, as sd_notify(3) sends it: Node has no datagram sockets of that kind.
import { closeSync } from 'node:fs';
import { loadLibc } from './libc.ts';

/** Linux include/linux/socket.h, include/linux/net.h */
const AF_UNIX = 1;
/** SOCK_DGRAM | SOCK_CLOEXEC */
const SOCK_DGRAM_CLOEXEC = 2 | 0x8_0000;
/** unix(7): sun_path, a zero at its end counted. */
const PATH_MAX_BYTES = 108;

/**
 * Never waits: a receiver whose queue is full is an error like others.
 * @param address a path, or `@name` of the abstract namespace, as NOTIFY_SOCKET has it
 * Throws an Error with `code` where the system refuses, one without where koffi does not load.
 */
export async function sendDatagram(address: string, text: string): Promise<void> {
  const libc = await loadLibc();
  if (typeof libc === 'string') throw new Error(libc);
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  try {
    libc.sendto(fd, new TextEncoder().encode(text), encodeUnixAddress(address));
  } finally {
    closeSync(fd);
  }
}

/** struct sockaddr_un. A name of the abstract namespace begins with a zero and ends with the address: unix(7). */
export function encodeUnixAddress(address: string): Uint8Array {
  const isAbstract = address.startsWith('@');
  const name = new TextEncoder().encode(isAbstract ? address.slice(1) : address);
  if (name.length === 0 || name.length >= PATH_MAX_BYTES || !/^[/@]/.test(address))
    throw new Error(`${address} is no address of a Unix socket`);
  const bytes = new Uint8Array(2 + 1 + name.length);
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true);
  bytes.set(name, isAbstract ? 3 : 2);
  return bytes;
}
