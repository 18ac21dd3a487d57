// The daemon as a process of its own on a virtual board: how soon, how small, how fast. Part of `npm run bench`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAgent } from '../../src/moonraker/agent.ts';
import { unixDialer } from '../../src/moonraker/unix-wire.ts';
import { forgeKlipper } from '../../src/virtual/forge.ts';
import { RealClock } from '../../src/virtual/real-clock.ts';
import { TinyMoonraker } from './tiny-moonraker.ts';

const OCTOPUS = resolve(import.meta.dirname, '../../bin/octopus');
const BOARD = 'octopus-v1.1-f446';
/** USER_HZ of Linux on every architecture that matters. */
const TICKS_PER_S = 100;
const IDLE_S = 10;

export interface DaemonFigures {
  /** From a job's step to its event on a client's socket, ms: median and longest; progress is told every 250 ms. */
  readonly eventMs: { readonly median: number; readonly longest: number };
  /** From the start of the process to its identify at Moonraker, ms. */
  readonly registeredMs: number;
  readonly residentMb: number;
  /** Of one core, while nothing is asked. */
  readonly idlePercent: number;
  /** From a call's arrival to its answer on the socket, ms: median and 99th percentile at 200 calls a second. */
  readonly callMs: { readonly median: number; readonly p99: number };
  readonly flashAloneMs: number;
  readonly flashUnderCallsMs: number;
  /** The second by the first. */
  readonly slowDown: number;
}

export async function measureDaemon(): Promise<DaemonFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'octopus-bench-'));
  const moonraker = new TinyMoonraker();
  try {
    const images = prepare(folder);
    await moonraker.listen(join(folder, 'comms/moonraker.sock'));
    const startedAt = performance.now();
    const daemon = spawn(
      OCTOPUS,
      ['daemon', '--virtual', BOARD, '--printer-data', folder, '--data', join(folder, 'data')],
      { stdio: 'ignore' },
    );
    const { at } = await moonraker.waitFor(({ method }) => method === 'server.connection.identify');
    await sleep(2000);
    const before = cpuTicks(daemon.pid);
    await sleep(IDLE_S * 1000);
    const idlePercent = ((cpuTicks(daemon.pid) - before) / TICKS_PER_S / IDLE_S) * 100;
    const residentMb = residentKb(daemon.pid) / 1024;
    // The first contact keeps the whole flash: not what is compared.
    await flash(moonraker, images[0] ?? '');
    const flashAloneMs = await flash(moonraker, images[1] ?? '');
    const calls = new Calls(moonraker);
    const flashUnderCallsMs = await flash(moonraker, images[0] ?? '');
    const callMs = calls.stop();
    daemon.kill('SIGTERM');
    await once(daemon, 'exit');
    return {
      registeredMs: at - startedAt,
      residentMb,
      idlePercent,
      callMs,
      eventMs: await eventLatency(),
      flashAloneMs,
      flashUnderCallsMs,
      slowDown: flashUnderCallsMs / flashAloneMs,
    };
  } finally {
    moonraker.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Both ends in this process, with a real socket between them: two processes share no clock this fine. */
async function eventLatency(): Promise<DaemonFigures['eventMs']> {
  const folder = mkdtempSync(join(tmpdir(), 'octopus-bench-'));
  const socket = join(folder, 'moonraker.sock');
  const moonraker = new TinyMoonraker();
  const clock = new RealClock();
  const over = new AbortController();
  await moonraker.listen(socket);
  const agent = createAgent({
    dialer: unixDialer(socket),
    clock,
    identity: { name: 'octopus', version: '0', url: '' },
    methods: new Map(),
    onEvent: () => {},
  });
  const running = agent.run(over.signal);
  await moonraker.waitFor(({ method }) => method === 'server.connection.identify');
  while (!agent.link.isUp) await sleep(5);
  const took: number[] = [];
  for (let n = 1; n <= 200; n++) {
    const startedAt = performance.now();
    agent.events.tell({ job: 'j', method: 'octopus.flash', board: BOARD, kind: 'note', text: 'x', n });
    const { at } = await moonraker.waitFor(({ params }) => params?.data?.n === n);
    took.push(at - startedAt);
  }
  over.abort();
  await running;
  moonraker.close();
  rmSync(folder, { recursive: true, force: true });
  const sorted = took.toSorted((a, b) => a - b);
  return { median: sorted[100] ?? Number.NaN, longest: sorted.at(-1) ?? Number.NaN };
}

function prepare(folder: string): readonly string[] {
  for (const name of ['comms', 'config', 'octopus-flasher', 'firmware']) mkdirSync(join(folder, name));
  const host = `[octopus-flasher]\narmed: yes\nfirmware_folders: ${folder}/firmware\n`;
  writeFileSync(join(folder, 'octopus-flasher/host.conf'), host, { mode: 0o600 });
  return [1, 2].map((seed) => {
    const image = join(folder, `firmware/klipper-${seed}.bin`);
    const sizeBytes = 46 * 1024;
    writeFileSync(
      image,
      forgeKlipper({ mcu: 'stm32f446xx', linkAddress: 0x0800_8000, version: 'v0.13.0-2', sizeBytes, seed }),
    );
    return image;
  });
}

/** The time of one flash as a client of Moonraker sees it, ms. */
async function flash(moonraker: TinyMoonraker, image: string): Promise<number> {
  const startedAt = performance.now();
  const { result, error } = await moonraker.ask('octopus.flash', { image });
  if (result === undefined) throw new Error(JSON.stringify(error));
  const { at, message } = await moonraker.waitFor(
    ({ method, params }) =>
      method === 'connection.send_event' && params.data.kind === 'ended' && params.data.job === result.job,
  );
  if (message['params'].data.state !== 'done') throw new Error(JSON.stringify(message['params'].data));
  return at - startedAt;
}

/** 200 questions a second until stopped. */
class Calls {
  readonly #took: number[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor(moonraker: TinyMoonraker) {
    this.#timer = setInterval(() => {
      for (let i = 0; i < 2; i++) {
        const startedAt = performance.now();
        void moonraker
          .ask(i === 0 ? 'octopus.status' : 'octopus.job_list', {})
          .then(() => this.#took.push(performance.now() - startedAt));
      }
    }, 10);
  }

  stop(): { median: number; p99: number } {
    clearInterval(this.#timer);
    const sorted = this.#took.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
    return { median: at(0.5), p99: at(0.99) };
  }
}

function residentKb(pid: number | undefined): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** proc(5), stat: utime and stime are the 14th and 15th word; the 2nd may hold spaces. */
function cpuTicks(pid: number | undefined): number {
  const words = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return Number(words[11]) + Number(words[12]);
}
