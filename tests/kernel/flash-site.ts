// A printer's host in the guest: its configuration, the command line that works there, and what is seen of it from the
// host: the levels on the virtual board's wires, and what the guest's kernel said of USB.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Drive } from '../../src/virtual/lines.ts';
import { SHARE, type Guest, type Job, type RunOptions } from './guest.ts';
import type { ServedBoard } from './served-board.ts';

export const BOARD = 'bench';
/** The expander's chip that BOOT0 (line 0) and NRST (line 1) hang on, by the label that gpiodetect shows. */
export const CHIP = 'viperboard gpio a';
/** In the guest's memory: gone with its power. */
const HOME = '/tmp/home';
/** On the folder that is shared with the host, which outlives the guest as a disk does. */
export const DISK = `${SHARE}/home`;

/** What a flash of every board that belongs to no printer needs. */
const VOUCHED = ['--confirm', 'cold,still,heaters_unplugged'];

const waitForChip = `until gpiodetect | grep -q '\\[${CHIP}\\]'; do sleep 0.1; done`;

export interface Ended {
  readonly code: number;
  // oxlint-disable-next-line typescript/no-explicit-any -- whatever the program said
  readonly answer: any;
}

export class FlashSite {
  /** What happened on the two wires since `forget`: `nrst low`. */
  readonly story: string[] = [];
  /** Of every command here: OCTOPUS_GPIO. */
  readonly #env: Readonly<Record<string, string>>;
  readonly #guest: Guest;
  readonly #served: ServedBoard;
  readonly #data: string;
  readonly #onLow = new Set<() => void>();

  private constructor(
    guest: Guest,
    served: ServedBoard,
    env: Readonly<Record<string, string>>,
    home: string,
  ) {
    [this.#guest, this.#served, this.#env] = [guest, served, { HOME: home, ...env }];
    this.#data = `${home}/printer_data`;
    const { settings } = served.bench.lines;
    served.bench.lines.onLineChange(({ pin, drive }) => {
      const line = pin === settings.boot0Pin ? 'boot0' : 'nrst';
      this.story.push(`${line} ${drive}`);
      if (line !== 'nrst' || drive !== 'low') return;
      const listeners = [...this.#onLow];
      this.#onLow.clear();
      for (const listener of listeners) listener();
    });
  }

  /** Waits until the kernel has the expander; whatever an earlier site has kept in `home` is gone. */
  static async open(
    guest: Guest,
    served: ServedBoard,
    env: Readonly<Record<string, string>> = {},
    home = HOME,
  ): Promise<FlashSite> {
    const data = `${home}/printer_data`;
    const { code, stderr } = await guest.sh(`set -e
      rm -rf ${home}
      mkdir -p ${data}/config ${data}/octopus-flasher
      cat >${data}/config/octopus-flasher.conf <<'END'
[octopus-flasher]
moonraker: none
[board ${BOARD}]
board: octopus-v1.1-f446
END
      cat >${data}/octopus-flasher/host.conf <<'END'
[board ${BOARD}]
boot0_pin: ${CHIP}/gpio0
reset_pin: ${CHIP}/gpio1
END
      chmod 600 ${data}/octopus-flasher/host.conf
      ${waitForChip}`);
    if (code !== 0) throw new Error(`the site in the guest: ${stderr}`);
    return new FlashSite(guest, served, env, home);
  }

  /** What an earlier guest had on its disk, in one that was booted since. */
  static async found(guest: Guest, served: ServedBoard, home: string): Promise<FlashSite> {
    const { code, stderr } = await guest.sh(waitForChip);
    if (code !== 0) throw new Error(stderr);
    return new FlashSite(guest, served, {}, home);
  }

  start(args: readonly string[], options: RunOptions = {}): Job {
    return this.#guest.start(['bin/octopus', ...args], {
      timeoutMs: 240_000,
      ...options,
      env: { ...this.#env, ...options.env },
    });
  }

  /** With --json: one line at the end. */
  async octopus(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    const { code, stdout, stderr } = await this.start([...args, '--json'], options).ended;
    const last = stdout.trim().split('\n').at(-1) ?? '';
    if (last === '') throw new Error(`octopus ${args.join(' ')}: code ${code}\n${stderr}`);
    return { code, answer: JSON.parse(last) };
  }

  /** One more section of octopus-flasher.conf. */
  async add(section: string): Promise<void> {
    const { code, stderr } = await this.#guest.sh(
      `cat >>${this.#data}/config/octopus-flasher.conf <<'END'\n${section}END`,
    );
    if (code !== 0) throw new Error(stderr);
    await this.forget();
  }

  /** The arguments that flash these bytes. */
  flashing(image: Uint8Array, board = BOARD): string[] {
    writeFileSync(join(this.#guest.share, 'klipper.bin'), image);
    return ['flash', '--board', board, '--image', `${SHARE}/klipper.bin`, ...VOUCHED];
  }

  /**
   * The kernel's driver of the expander waits 100 ms for it (linux include/linux/mfd/viperboard.h), which is served by
   * this very process: on a busy machine a flash may fail at that, the board unchanged, and is begun again.
   */
  async flash(image: Uint8Array, options: RunOptions = {}): Promise<Ended> {
    for (let tries = 1; ; tries++) {
      const ended = await this.octopus(this.flashing(image), options);
      const { message = '', onBoard = '' } = ended.answer.error ?? {};
      const isLate = /EREMOTEIO|ETIMEDOUT/.test(message) && /not changed/.test(onBoard);
      if (!isLate || tries === 3) return ended;
      await this.forget();
    }
  }

  /** Calls once, at the moment when somebody pulls NRST low. */
  onceLow(listener: () => void): void {
    this.#onLow.add(listener);
  }

  /** Who holds the lines, as the kernel tells it while NRST is low for the first time from now on. */
  holders(): Promise<string> {
    return new Promise((resolve, reject) => {
      this.onceLow(() => {
        this.#guest.run(['gpioinfo', CHIP]).then(({ stdout }) => resolve(stdout), reject);
      });
    });
  }

  drives(): { readonly boot0: Drive; readonly nrst: Drive } {
    const { lines } = this.#served.bench;
    const { boot0Pin, nrstPin } = lines.settings;
    return { boot0: lines.pinDrive(boot0Pin), nrst: lines.pinDrive(nrstPin) };
  }

  async forget(): Promise<void> {
    this.story.splice(0);
    await this.#guest.run(['dmesg', '--clear']);
  }

  /** What the kernel has found on USB since `forget`, by vendor and product. */
  async found(): Promise<readonly string[]> {
    const { stdout } = await this.#guest.run(['dmesg']);
    const all = stdout.matchAll(/New USB device found, idVendor=(\w+), idProduct=(\w+)/g);
    return [...all].map(([, vendor, product]) => `${vendor}:${product}`);
  }

  /** The jobs in the daemon's audit log: through which door, and what. */
  async audited(): Promise<readonly string[]> {
    const { stdout } = await this.#guest.run(['cat', `${this.#data}/octopus-flasher/audit.log`]);
    const lines = stdout.trim().split('\n');
    const entries = lines.map((line): Record<string, unknown> => JSON.parse(line));
    return entries.flatMap(({ via, method, outcome }) =>
      outcome === 'job' ? [`${String(via)} ${String(method)}`] : [],
    );
  }

  /** The board's flash from the image's place on, as long as the image. */
  held(image: Uint8Array, address: number): Buffer {
    return Buffer.from(this.#served.bench.flash.peek(address, image.length));
  }

  /** The time is a limit, never an expectation. */
  async until(what: string, look: () => boolean): Promise<void> {
    for (const limit = Date.now() + 240_000; !look(); await sleep(20))
      if (Date.now() > limit) throw new Error(`not within 240 s: ${what}`);
  }
}
