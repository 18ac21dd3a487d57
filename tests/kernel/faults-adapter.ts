// A USB to CAN adapter on a virtual wire with one node, for a guest's gs_usb driver.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CanNode } from '../../src/virtual/can-node.ts';
import { CanWire } from '../../src/virtual/can-wire.ts';
import { TIMES } from '../../src/virtual/times.ts';
import { RealClock } from '../../src/virtual/real-clock.ts';
import { permanentPort } from '../../src/virtual/serve/port.ts';
import { serveUsbredir } from '../../src/virtual/serve/usbredir-host.ts';
import { createCandleUsb } from '../../src/virtual/usb-candle.ts';

/** The only node's. */
export const NODE = { uuid: '0a0b0c000001', bitrate: 1_000_000 } as const;

export interface ServedAdapter {
  /** For `usbRedir`. */
  readonly socket: string;
  /** For the guest: `plug` puts the node on the wire, `pull` takes it off. */
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** One node, at 1 Mbit/s, shares the wire with it. */
export async function serveAdapter(): Promise<ServedAdapter> {
  const folder = mkdtempSync(join(tmpdir(), 'octopus-adapter-'));
  const socket = join(folder, 'usb');
  const clock = new RealClock();
  const wire = new CanWire(clock);
  const node = new CanNode(
    { clock, wire, bitrate: NODE.bitrate, times: TIMES.zero, timesName: 'zero' },
    { uuid: NODE.uuid },
    0,
  );
  const port = await permanentPort('1-1', createCandleUsb(wire));
  const usb = createServer((channel) => serveUsbredir(channel, port)).listen(socket);
  const person = createServer((asker) => {
    asker.on('error', () => {});
    createInterface({ input: asker }).on('line', (word) => {
      if (word === 'plug') node.powerOn();
      else node.powerOff();
      asker.end('null\n');
    });
  }).listen(0, '127.0.0.1');
  await Promise.all([usb, person].map((server: Server) => once(server, 'listening')));
  return {
    socket,
    env: { BENCH_PERSON_PORT: String((person.address() as AddressInfo).port) },
    close: async () => {
      person.close();
      port.hide();
      usb.close();
      clock.stop();
      rmSync(folder, { recursive: true, force: true });
      await Promise.resolve();
    },
  };
}
