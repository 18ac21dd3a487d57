// The line to an emulated machine: QEMU's standard streams are the guest's port `agent` (guest/serve), and one folder is
// shared both ways. Whoever builds a kind of guest on it says how QEMU is started and what a command is as a script.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Job } from './job.ts';
import type { Qemu } from './qemu.ts';

export class GuestLine {
  /** Its own, gone with the guest. */
  readonly folder: string;
  /** The shared folder on the host. */
  readonly share: string;
  readonly #qemu: Qemu;
  readonly #jobs = new Map<string, Job>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  #dead: string | undefined;
  #stopping = false;
  #complaints = '';
  #count = 0;

  /** @param start starts QEMU, when the shared folder is there. */
  constructor(start: (places: { readonly share: string; readonly console: string }) => Qemu) {
    this.folder = mkdtempSync(join(tmpdir(), 'octopus-guest-'));
    this.share = join(this.folder, 'share');
    mkdirSync(join(this.share, 'jobs'), { recursive: true });
    this.#qemu = start({ share: this.share, console: join(this.folder, 'console') });
    createInterface({ input: this.#qemu.stdout }).on('line', (line) => this.#hear(line));
    this.#qemu.stderr.setEncoding('utf8').on('data', (text: string) => (this.#complaints += text));
    this.#qemu.stdin.on('error', () => {});
    this.#qemu.on('error', (error) => this.#end(error.message));
    this.#qemu.on('close', () => this.#end('it ended'));
    this.#ready.promise.catch(() => {});
  }

  /** Until the guest serves; @throws with what it said, when it died before that or did not come up in time. */
  async ready(timeoutMs: number): Promise<void> {
    const limit = setTimeout(() => this.kill('not up in time'), timeoutMs);
    try {
      await this.#ready.promise;
    } finally {
      clearTimeout(limit);
    }
  }

  start(
    script: string,
    { input = '', timeoutMs = 60_000 }: { input?: string | Uint8Array; timeoutMs?: number },
  ) {
    const id = String(++this.#count);
    const folder = join(this.share, 'jobs', id);
    mkdirSync(folder);
    writeFileSync(join(folder, 'stdin'), input);
    writeFileSync(join(folder, 'script'), script);
    const job = new Job(folder, timeoutMs, {
      signal: (name) => this.#say(`kill ${id} ${name}`),
      giveUp: (why) => this.kill(why),
    });
    this.#jobs.set(id, job);
    if (this.#dead === undefined) this.#say(`run ${id}`);
    else job.end(125, this.#dead);
    return job;
  }

  /** What the kernel said on its console. */
  console(): string {
    const path = join(this.folder, 'console');
    // QEMU makes it, if it comes that far.
    return existsSync(path) ? readFileSync(path, 'latin1') : '';
  }

  kill(why: string): void {
    this.#dead ??= why;
    this.#qemu.kill('SIGKILL');
  }

  /** As a power cut does. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.kill('stopped');
    await this.#gone.promise;
  }

  /** The shared folder with it. */
  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
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

  #end(why: string): void {
    this.#dead ??= why;
    const said = this.#stopping ? '' : `\n${this.#complaints}${this.console().slice(-4000)}`;
    this.#ready.reject(new Error(`the guest: ${this.#dead}${said}`));
    for (const job of this.#jobs.values()) job.end(125, `${this.#dead}${said}`);
    this.#jobs.clear();
    this.#gone.resolve();
  }
}
