// The other end, on a Linux machine with the module vhci-hcd: keeps what a virtual board shows attached to this kernel,
// whatever it re-enumerates as. What `usbip attach` does once, this does each time.
// The file's words: linux drivers/usb/usbip/vhci_sysfs.c; the messages: Documentation/usb/usbip_protocol.rst.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { OctopusError } from '../../errors.ts';

const VHCI = '/sys/devices/platform/vhci_hcd.0';
const LOOK_MS = 50;
/** VDEV_ST_NULL: a port that is free (linux drivers/usb/usbip/usbip_common.h). */
const FREE = 4;
const VERSION = 0x0111;
const DEVICE_BYTES = 312;
const BUSID_AT = 256;

/** @param server TCP `[HOST:]PORT`, or the path of a Unix socket. Runs until `signal` is aborted. */
export async function keepAttached(
  server: string,
  signal: AbortSignal,
  tell: (line: string) => void,
): Promise<void> {
  requireVhci();
  /** Where each device was put, so that its bus path stays the same. */
  const ports = new Map<string, number>();
  let isReached: boolean | undefined;
  while (!signal.aborted) {
    const offered = await offers(server).catch((): undefined => undefined);
    if (isReached !== (offered !== undefined)) {
      isReached = offered !== undefined;
      tell(isReached ? `reached ${server}` : `nobody serves USB/IP at ${server}: waiting`);
    }
    for (const busId of offered ?? []) {
      const port = choosePort(busId, ports);
      if (port === undefined) continue;
      ports.set(busId, port);
      const was = await attach(server, busId, port).catch((error: unknown) => String(error));
      if (was !== undefined) tell(`${busId}: ${was}`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function requireVhci(): void {
  const isRoot = process.getuid?.() === 0;
  if (isRoot && existsSync(`${VHCI}/attach`)) return;
  throw new OctopusError(
    'no-hardware',
    isRoot ? `${VHCI} does not exist` : 'only root may attach USB devices',
    {
      place: `${VHCI}/attach`,
      advice: isRoot
        ? 'Load the module: modprobe vhci-hcd (on Debian it is in the kernel package).'
        : 'Run it with sudo.',
    },
  );
}

/** Port numbers of the full speed half, with their states; `status`: hub port sta spd dev sockfd local_busid. */
export function readPorts(status: string): ReadonlyMap<number, number> {
  const rows = status.matchAll(/^hs\s+(\d+)\s+(\d+)\s/gm);
  return new Map(Array.from(rows, ([, port, state]) => [Number(port), Number(state)]));
}

/** Undefined while the device is attached, or its port is still being cleared. */
function choosePort(busId: string, taken: ReadonlyMap<string, number>): number | undefined {
  const states = readPorts(readFileSync(`${VHCI}/status`, 'utf8'));
  const own = taken.get(busId);
  if (own !== undefined) return states.get(own) === FREE ? own : undefined;
  const others = new Set(taken.values());
  return [...states].find(([port, state]) => state === FREE && !others.has(port))?.[0];
}

async function offers(server: string): Promise<readonly string[]> {
  const socket = await reach(server);
  try {
    socket.write(operation(0x8005));
    const bytes: Buffer[] = [];
    // The server ends the connection behind its list.
    for await (const chunk of socket) if (Buffer.isBuffer(chunk)) bytes.push(chunk);
    return busIdsIn(Buffer.concat(bytes));
  } finally {
    socket.destroy();
  }
}

/** The bus ids of an OP_REP_DEVLIST. */
export function busIdsIn(list: Buffer): readonly string[] {
  const found: string[] = [];
  for (let at = 12; at + DEVICE_BYTES <= list.length; at += 4 * list.readUInt8(at - 1)) {
    const name = list.toString('latin1', at + BUSID_AT, at + BUSID_AT + 32);
    found.push(name.slice(0, Math.max(0, name.indexOf('\0'))));
    at += DEVICE_BYTES;
  }
  return found;
}

/** @returns what to tell; undefined when the server refused, since the device may have left meanwhile */
async function attach(server: string, busId: string, port: number): Promise<string | undefined> {
  const socket = await reach(server);
  try {
    const request = Buffer.alloc(40);
    operation(0x8003).copy(request);
    request.write(busId, 8, 31, 'latin1');
    socket.write(request);
    const reply = await readExactly(socket, 8);
    if (reply === undefined || reply.readUInt32BE(4) !== 0) return undefined;
    const device = await readExactly(socket, DEVICE_BYTES);
    if (device === undefined) return undefined;
    const at = BUSID_AT + 32;
    const id = device.readUInt32BE(at) * 0x1_0000 + device.readUInt32BE(at + 4);
    const speed = device.readUInt32BE(at + 8);
    // The kernel takes its own hold on the socket; ours is closed behind it.
    writeFileSync(`${VHCI}/attach`, `${port} ${fileDescriptor(socket)} ${id} ${speed}`);
    const names = [12, 14].map((offset) =>
      device
        .readUInt16BE(at + offset)
        .toString(16)
        .padStart(4, '0'),
    );
    return `${names.join(':')} attached at port ${port}`;
  } finally {
    socket.destroy();
  }
}

/** Node has no name for it: the stream's handle knows, and must stop reading before the kernel begins. */
function fileDescriptor(socket: Socket): number {
  socket.pause();
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle === 'object' && handle !== null && 'fd' in handle && 'readStop' in handle) {
    const { fd, readStop } = handle;
    if (typeof readStop === 'function') Reflect.apply(readStop, handle, []);
    if (typeof fd === 'number' && fd >= 0) return fd;
  }
  throw new OctopusError('internal', 'this Node does not tell the number of a socket', {
    advice: 'Use the Node that comes with octopus-flasher, or usbip attach.',
  });
}

async function readExactly(socket: Socket, length: number): Promise<Buffer | undefined> {
  for (;;) {
    const chunk: unknown = socket.read(length);
    if (Buffer.isBuffer(chunk)) return chunk.length === length ? chunk : undefined;
    if (socket.readableEnded || socket.destroyed) return undefined;
    await new Promise<void>((resolve) => {
      const on = (): void => {
        for (const name of ['readable', 'end', 'close', 'error']) socket.off(name, on);
        resolve();
      };
      for (const name of ['readable', 'end', 'close', 'error']) socket.on(name, on);
    });
  }
}

function operation(code: number): Buffer {
  return Buffer.of(VERSION >> 8, VERSION & 0xff, code >> 8, code & 0xff, 0, 0, 0, 0);
}

async function reach(server: string): Promise<Socket> {
  const [, host, port] = /^(?:(.*):)?(\d+)$/.exec(server) ?? [];
  const socket =
    port === undefined ? connect(server) : connect(Number(port), host === undefined ? '127.0.0.1' : host);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => socket.destroy());
  return socket;
}
