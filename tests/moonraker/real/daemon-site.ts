// A whole printer's host for the daemon: a real Moonraker, a real supervisord that runs the stand-in for Klippy as the
// service `klipper`, and the daemon as a process of its own, on a virtual board.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NEW_KLIPPER, OLD_KLIPPER, forgeKlipper, type ForgeKlipper } from '../../../src/virtual/forge.ts';
import { DaemonProcess, OCTOPUS } from './daemon-process.ts';
import type { KlippyLine, KlippySays } from './klippy-files.ts';
import { PlainClient, RealMoonraker, eventually, programs } from './real-moonraker.ts';

export const BOARD = 'octopus-v1.1-f446';
const MCU = 'stm32f446xx';

/** A printer that is idle and cold. */
const COLD: KlippySays['objects'] = {
  heaters: { available_heaters: ['extruder', 'heater_bed'], available_sensors: [] },
  extruder: { target: 0, temperature: 24.1 },
  heater_bed: { target: 0, temperature: 23.8 },
  print_stats: { state: 'standby' },
  idle_timeout: { state: 'Idle' },
  pause_resume: { is_paused: false },
  virtual_sdcard: { is_active: false },
  toolhead: { homed_axes: '' },
  mcu: { mcu_version: OLD_KLIPPER },
  configfile: { config: {} },
};
const READY: KlippySays = {
  state: 'ready',
  message: 'Printer is ready',
  objects: COLD,
  startMs: 200,
  stopMs: 600,
};

export interface Mark {
  readonly log: number;
  readonly klippy: number;
}

export class DaemonSite {
  readonly moonraker: RealMoonraker;
  /** An allowed one: firmware_folders in host.conf. */
  readonly firmware: string;
  readonly #folder: string;
  readonly #supervisor: ChildProcess;
  readonly #clients: PlainClient[] = [];
  #says = READY;
  readonly #daemons: DaemonProcess[] = [];

  private constructor(folder: string, supervisor: ChildProcess, moonraker: RealMoonraker) {
    this.#folder = folder;
    this.#supervisor = supervisor;
    this.moonraker = moonraker;
    this.firmware = join(folder, 'firmware');
  }

  static async start(): Promise<DaemonSite> {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'octopus-site-')));
    mkdirSync(join(folder, 'firmware'));
    writeSays(folder, READY);
    writeFileSync(configOf(folder), supervisordConfig(folder));
    const supervisor = spawn(join(programs(), 'supervisord'), ['-n', '-c', configOf(folder)], {
      stdio: 'ignore',
    });
    // Moonraker asks once, when it starts, which services there are.
    await eventually('Klippy runs', () => klippyLog(folder).some(({ what }) => what === 'started'));
    const moonraker = await RealMoonraker.start({
      supervisorConfig: configOf(folder),
      klippySocket: join(folder, 'klippy.sock'),
    });
    const own = join(moonraker.folder, 'octopus-flasher');
    mkdirSync(own, { mode: 0o700 });
    writeFileSync(
      join(own, 'host.conf'),
      `[octopus-flasher]\nfirmware_folders:\n    ${join(folder, 'firmware')}\n`,
      { mode: 0o600 },
    );
    const site = new DaemonSite(folder, supervisor, moonraker);
    await site.ready();
    return site;
  }

  /** Moonraker says that Klipper is ready. */
  async ready(): Promise<void> {
    const client = await this.client();
    await eventually('Klipper is ready', async () => {
      const { result } = await client.ask('server.info');
      return result?.klippy_state === 'ready';
    });
  }

  /**
   * Starts the daemon; resolves when Moonraker has its agent.
   * @param state what the virtual board holds; each has its own, which is kept between starts
   */
  async startDaemon(state = 'used'): Promise<DaemonProcess> {
    const daemon = DaemonProcess.start([
      ...['--virtual', BOARD, '--state', state, '--virtual-dir', join(this.#folder, state)],
      ...['--printer-data', this.moonraker.folder, '--verbose'],
    ]);
    this.#daemons.push(daemon);
    await daemon.said('registered at Moonraker as agent octopus');
    return daemon;
  }

  get isDaemonRunning(): boolean {
    return this.#daemons.at(-1)?.isRunning === true;
  }

  /** The last that was started. */
  get daemon(): DaemonProcess {
    const last = this.#daemons.at(-1);
    if (last === undefined) throw new Error('there is no daemon');
    return last;
  }

  /** The command line of the host. */
  octopus(...words: string[]): string {
    return execFileSync(OCTOPUS, [...words, '--printer-data', this.moonraker.folder], { encoding: 'utf8' });
  }

  async client(): Promise<PlainClient> {
    const client = await PlainClient.connect(this.moonraker.url);
    this.#clients.push(client);
    return client;
  }

  /** An image in the allowed folder, and its path. */
  image(name: string, options: Partial<ForgeKlipper> = {}): string {
    const path = join(this.firmware, name);
    writeFileSync(path, forgeKlipper({ mcu: MCU, ...options }));
    return path;
  }

  /** What Klippy says from now on; a state is reached by its next start. */
  klippySays(change: Partial<Omit<KlippySays, 'objects'>> = {}, objects: KlippySays['objects'] = {}): void {
    this.#says = { ...READY, ...change, objects: { ...COLD, mcu: { mcu_version: NEW_KLIPPER }, ...objects } };
    writeSays(this.#folder, this.#says);
  }

  klippy(): KlippyLine[] {
    return klippyLog(this.#folder);
  }

  get isKlippyRunning(): boolean {
    return this.klippy().findLast(({ what }) => what === 'started' || what === 'ended')?.what === 'started';
  }

  /** Where we are now in what the daemon and Klippy write; `since` asks what came after it. */
  mark(): Mark {
    return { log: this.daemon.log.length, klippy: this.klippy().length };
  }

  since(mark: Mark): { lines: ReturnType<DaemonProcess['lines']>; klippy: KlippyLine[] } {
    return { lines: this.daemon.lines(mark.log), klippy: this.klippy().slice(mark.klippy) };
  }

  supervisorctl(...words: string[]): string {
    return execFileSync(join(programs(), 'supervisorctl'), ['-c', configOf(this.#folder), ...words], {
      encoding: 'utf8',
    });
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const daemon of this.#daemons) await daemon.kill();
    await this.moonraker.stop();
    // It stops its programs itself.
    this.#supervisor.kill('SIGTERM');
    if (this.#supervisor.exitCode === null) await once(this.#supervisor, 'exit');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Whole or not at all: Klippy reads it at any time. */
function writeSays(folder: string, says: KlippySays): void {
  writeFileSync(join(folder, 'klippy.json.new'), JSON.stringify(says));
  renameSync(join(folder, 'klippy.json.new'), join(folder, 'klippy.json'));
}

function klippyLog(folder: string): KlippyLine[] {
  let text: string;
  try {
    text = readFileSync(join(folder, 'klippy.log'), 'utf8');
  } catch {
    return [];
  }
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as KlippyLine);
}

const configOf = (folder: string) => join(folder, 'supervisord.conf');

function supervisordConfig(folder: string): string {
  return `[supervisord]
logfile=${folder}/supervisord.log
pidfile=${folder}/supervisord.pid
[unix_http_server]
file=${folder}/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://${folder}/supervisor.sock
[program:klipper]
command=${process.execPath} ${join(import.meta.dirname, 'stand-in-klippy.ts')} ${folder}
startsecs=0
stderr_logfile=${folder}/klippy.err
`;
}
