// A real Klippy from PyPI on a stand-in for its micro-controller (klippy-mcu.py), with macros of this project.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './real-moonraker.ts';

/** Another folder of macros shows what the suite says of faulty ones. */
const macros = process.env['OCTOPUS_TEST_MACROS'] ?? join(import.meta.dirname, '../../../macros');

export interface KlippyOptions {
  /** One of macros/. */
  readonly file: string;
  /** Where it listens for Moonraker. */
  readonly socket: string;
  /** What `~` is in its printer.cfg. */
  readonly home: string;
}

export class RealKlippy {
  readonly #folder: string;
  readonly #processes: ChildProcess[] = [];

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Begins; it is ready a second or two later, the first time after its helper is compiled. */
  static async start({ file, socket, home }: KlippyOptions): Promise<RealKlippy> {
    const program = execFileSync(join(import.meta.dirname, 'setup.sh'), ['klippy'], {
      encoding: 'utf8',
    }).trim();
    // Klippy opens ports of this name as they are; all others are set up as a UART first, which takes longer.
    const folder = mkdtempSync('/tmp/klipper_host_octopus-');
    const klippy = new RealKlippy(folder);
    const config = join(folder, 'printer.cfg');
    writeFileSync(
      config,
      `[mcu]
serial: ${folder}/mcu
[printer]
kinematics: none
max_velocity: 1
max_accel: 1
[virtual_sdcard]
path: ${folder}
[pause_resume]
[display_status]
[gcode_macro AFTER_IT]
gcode: {action_call_remote_method("octopus.status", after="it")}
[include ${macros}/${file}]
`,
    );
    klippy.#spawn('python3', [join(import.meta.dirname, 'klippy-mcu.py'), join(folder, 'mcu')], home);
    // Klippy looks again only 5 s later.
    await eventually('its micro-controller is there', () => existsSync(join(folder, 'mcu')) || undefined);
    klippy.#spawn(program, ['-I', `${folder}/tty`, '-a', socket, '-l', `${folder}/klippy.log`, config], home);
    return klippy;
  }

  log(): string {
    return readFileSync(join(this.#folder, 'klippy.log'), 'utf8');
  }

  async stop(): Promise<void> {
    for (const child of this.#processes) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #spawn(program: string, args: readonly string[], home: string): void {
    this.#processes.push(
      spawn(program, args, { stdio: 'ignore', env: { ...process.env, HOME: home, PYTHONUTF8: '1' } }),
    );
  }
}

/** What `printer.info` has to say until it says `ready`. */
export async function untilReady(
  look: () => Promise<Record<string, unknown>>,
  klippy: RealKlippy,
): Promise<void> {
  let last: unknown;
  await eventually('Klippy is ready', async () => {
    last = await look();
    return JSON.stringify(last).includes('"state":"ready"') || undefined;
  }).catch((error: unknown) => {
    throw new Error(`${JSON.stringify(last)}\n${klippy.log().slice(-3000)}`, { cause: error });
  });
}
