// The virtual board for other programs: its USB socket over USB/IP and usbredir, its lines as a USB GPIO expander, its
// serial function as a pseudo-terminal.

import { rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { OctopusError } from '../../errors.ts';
import type { VirtualBench } from '../bench.ts';
import type { BoardLines } from '../lines.ts';
import type { BenchTimes } from '../times.ts';
import { boardPort, permanentPort, type ServedDevice, type ServedPort } from './port.ts';
import { servePty } from './pty.ts';
import { serveUsbip } from './usbip-server.ts';
import { serveUsbredir } from './usbredir-host.ts';
import { createCandleUsb } from '../usb-candle.ts';
import { createViperboard } from './viperboard.ts';

/** For a bench that is served: the kernel that enumerates the board is a real one, and takes its own time. */
export const NO_HOST_TIMES: Partial<BenchTimes> = { enumerateMs: 0, ttyMs: 0, udevMs: 0, transferMs: 0 };

/** The expander's place: a bus of its own, as it is not the board's. */
export const EXPANDER_BUS_ID = '9-1';
/** The CAN adapter's, where the bench's bus hangs on one. */
export const ADAPTER_BUS_ID = '9-2';
/** The expander's lines on "viperboard gpio a". */
export const EXPANDER_LINES = { boot0: 0, nrst: 1 } as const;

export interface ServeOptions {
  /** TCP port on this machine only, or path of a Unix socket: USB/IP with board, expander and CAN adapter. */
  readonly usbip?: string;
  /** Path of a Unix socket: usbredir with the board; the same with `.gpio` behind it: with the expander, `.can`: the adapter. */
  readonly usbredir?: string;
  /** Where a link to the board's pseudo-terminal appears. */
  readonly pty?: string;
}

export interface Served {
  /** What is offered where, for people. */
  readonly places: readonly string[];
  /** The TCP port of USB/IP, when it was asked for as 0. */
  readonly usbipPort: number | undefined;
  close(): Promise<void>;
}

/** @param tell what comes and goes, a line at a time */
export async function serveBench(
  bench: VirtualBench,
  options: ServeOptions,
  tell: (line: string) => void = () => {},
): Promise<Served> {
  const { board, can, usb } = bench;
  const socket = await boardPort(usb, board.data.busPath, (fn) =>
    fn.joinCan?.((events) => can.startBridge(events)),
  );
  const { port } = socket;
  const expander = await permanentPort(EXPANDER_BUS_ID, expanderOf(bench.lines));
  const endings: (() => void)[] = [() => socket.close(), () => expander.hide(), watch(bench, port, tell)];
  const adapter = can.hasAdapter ? await permanentPort(ADAPTER_BUS_ID, createCandleUsb(can.wire)) : undefined;
  // Nobody of the bench is to use what others are offered.
  can.unplugAdapter();
  const others = adapter === undefined ? [expander] : [expander, adapter];
  if (adapter !== undefined) endings.push(() => adapter.hide());
  const places: string[] = [];
  let usbipPort: number | undefined;
  const listen = async (where: string, serve: (client: Socket) => void): Promise<number | undefined> => {
    const listener = await listenAt(where, serve);
    endings.push(() => listener.close());
    return listener.port;
  };
  try {
    if (options.usbip !== undefined) {
      usbipPort = await listen(options.usbip, (client) => serveUsbip(client, [port, ...others]));
      const at = usbipPort === undefined ? options.usbip : `127.0.0.1:${usbipPort}`;
      const can0 = adapter === undefined ? '' : `, ${ADAPTER_BUS_ID} a CAN adapter`;
      places.push(`USB/IP ${at}: ${port.busId} the board, ${EXPANDER_BUS_ID} BOOT0 and NRST${can0}`);
    }
    if (options.usbredir !== undefined) {
      await listen(options.usbredir, (client) => serveUsbredir(client, port));
      await listen(`${options.usbredir}.gpio`, (client) => serveUsbredir(client, expander));
      places.push(`usbredir ${options.usbredir}: the board, ${options.usbredir}.gpio: BOOT0 and NRST`);
      if (adapter !== undefined) {
        await listen(`${options.usbredir}.can`, (client) => serveUsbredir(client, adapter));
        places.push(`usbredir ${options.usbredir}.can: a CAN adapter`);
      }
    }
    if (options.pty !== undefined) {
      endings.push(servePty(port, options.pty, tell));
      places.push(`pseudo-terminal ${options.pty}`);
    }
  } catch (error) {
    for (const end of endings) end();
    throw error;
  }
  return {
    places,
    usbipPort,
    close: async () => {
      for (const end of endings.splice(0).toReversed()) end();
      await Promise.resolve();
    },
  };
}

function expanderOf(lines: BoardLines): ReturnType<typeof createViperboard> {
  const pins: Parameters<typeof createViperboard>[0][number][] = [];
  for (const [name, line] of Object.entries(EXPANDER_LINES)) {
    const pin = name === 'boot0' ? lines.settings.boot0Pin : lines.settings.nrstPin;
    pins[line] = { drive: (drive) => lines.drivePin(pin, drive), level: () => lines.pinLevel(pin) };
  }
  return createViperboard(pins);
}

function nameOf({ descriptor }: ServedDevice): string {
  const hex = (at: number): string =>
    ((descriptor[at] ?? 0) | ((descriptor[at + 1] ?? 0) << 8)).toString(16).padStart(4, '0');
  return `${hex(8)}:${hex(10)}`;
}

/** Says what a person at the bench would see. */
function watch({ lines }: VirtualBench, port: ServedPort, tell: (line: string) => void): () => void {
  let known = port.device;
  let faults = 0;
  const forgetPort = port.onChange((device) => {
    if (device === known) return;
    if (device !== undefined) tell(`${port.busId} ${nameOf(device)} is on the bus`);
    else if (known !== undefined) tell(`${port.busId} ${nameOf(known)} has left the bus`);
    known = device;
  });
  const forgetLines = lines.onLineChange(({ pin, drive }) => {
    const wire = pin === lines.settings.boot0Pin ? 'BOOT0' : pin === lines.settings.nrstPin ? 'NRST' : pin;
    tell(`${wire} ${drive}`);
    for (const fault of lines.faults.slice(faults)) tell(`electrical fault: ${fault.message}`);
    faults = lines.faults.length;
  });
  return () => {
    forgetPort();
    forgetLines();
  };
}

interface Listener {
  readonly port: number | undefined;
  close(): void;
}

/** Never on a network: whoever reaches this plugs into the board. */
async function listenAt(where: string, serve: (socket: Socket) => void): Promise<Listener> {
  const isPort = /^\d+$/.test(where);
  if (!isPort) await removeStale(where);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    // Each answer is awaited before the next question: none may be held back to be sent with another.
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    serve(socket);
  });
  await started(server, where, isPort);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : undefined,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function started(server: Server, where: string, isPort: boolean): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.once('listening', resolve);
  if (isPort) server.listen(Number(where), '127.0.0.1');
  else server.listen(where);
  await promise.catch((cause: unknown) => {
    throw new OctopusError('busy', `${where} cannot be served: ${String(cause)}`, {
      place: where,
      advice: 'Another program may serve there: choose another port or path.',
      cause,
    });
  });
}

/** A socket file whose server has died is in the way; one that somebody serves is left alone. */
async function removeStale(path: string): Promise<void> {
  const code = await new Promise<string>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve('served');
    });
    probe.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });
  if (code === 'ECONNREFUSED') rmSync(path, { force: true });
}
