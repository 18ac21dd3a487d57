// A virtual board on the host, in real time, for a guest: its USB over usbredir, and a person at the bench who plugs,
// pulls and holds a meter to the wires when the guest asks (one word a line over TCP).
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBench, type BenchOptions, type VirtualBench } from '../../src/virtual/bench.ts';
import { NO_HOST_TIMES, serveBench } from '../../src/virtual/serve/serve.ts';

export interface ServedBoard {
  readonly bench: VirtualBench;
  /** For `usbRedir`: the board, and the expander that BOOT0 and NRST hang on. */
  readonly sockets: { readonly board: string; readonly gpio: string };
  /** For the guest: where `bench-person.ts` asks. */
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

export async function serveBoard(options: BenchOptions = {}): Promise<ServedBoard> {
  const folder = mkdtempSync(join(tmpdir(), 'octopus-served-'));
  const bench = await createBench({ clock: 'real', timesOverride: NO_HOST_TIMES, ...options });
  await bench.printer.stopKlipper();
  const board = join(folder, 'usb');
  const served = await serveBench(bench, { usbredir: board });
  const { boot0Pin, nrstPin } = bench.lines.settings;
  const acts: Readonly<Record<string, () => unknown>> = {
    plug: () => bench.replug(),
    pull: () => bench.unplug(),
    meter: () => ({ boot0: bench.gpio.drive(boot0Pin), nrst: bench.gpio.drive(nrstPin) }),
  };
  const person = createServer((socket) => {
    socket.on('error', () => {});
    createInterface({ input: socket }).on('line', (word) => {
      socket.end(`${JSON.stringify(acts[word]?.() ?? null)}\n`);
    });
  }).listen(0, '127.0.0.1');
  await once(person, 'listening');
  return {
    bench,
    sockets: { board, gpio: `${board}.gpio` },
    env: { BENCH_PERSON_PORT: String((person.address() as AddressInfo).port) },
    close: async () => {
      person.close();
      await served.close();
      bench.dispose();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
