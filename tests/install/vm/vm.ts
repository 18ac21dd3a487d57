// A printer's host: Debian with systemd as its first program, udev, polkit, Moonraker, and the user pi (prepare makes
// its disk). Booted in 15 s, then asked to run commands, as pi or as root.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { GuestLine } from '../../kernel/guest-line.ts';
import type { Job, Outcome } from '../../kernel/job.ts';
import { comma, shared, start } from '../../kernel/qemu.ts';
import { freePort } from '../../support/free-port.ts';

export { HOST_ADDRESS, usbRedir } from '../../kernel/qemu.ts';
export type { Job, Outcome } from '../../kernel/job.ts';

/** The shared folder, as the guest has it; `vm.share` on the host. */
export const SHARE = '/opt/share';
export type Release = 'bookworm' | 'trixie';

export interface VmOptions {
  readonly release?: Release;
  /** More arguments for QEMU: `usbRedir(path)`. */
  readonly devices?: readonly string[];
}

export interface CommandOptions {
  /** In all the groups it has by then, as after a new login. */
  readonly user?: 'root' | 'pi';
  readonly input?: string;
  readonly timeoutMs?: number;
}

const quote = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** The folder of its disk. */
const prepare = (release: Release): string =>
  execFileSync(join(import.meta.dirname, 'prepare'), [release], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();

/** The first, or the second where the first one's packages cannot be had. */
export function releaseOr(first: Release, second: Release): Release {
  try {
    prepare(first);
    return first;
  } catch {
    process.stdout.write(`Debian ${first} cannot be had here: ${second} instead\n`);
    return second;
  }
}

export class Vm {
  /** Moonraker in the guest, from outside. */
  readonly moonraker: string;
  /** From QEMU's start to the moment when it serves. */
  readonly bootMs: number;
  readonly #line: GuestLine;

  private constructor(line: GuestLine, port: number, bootMs: number) {
    this.#line = line;
    this.moonraker = `http://127.0.0.1:${port}`;
    this.bootMs = bootMs;
  }

  static async boot({ release = 'bookworm', devices = [] }: VmOptions = {}): Promise<Vm> {
    const image = prepare(release);
    const port = await freePort();
    const began = performance.now();
    const line = new GuestLine(({ share, console }) =>
      start({
        kernel: join(image, 'vmlinux'),
        initrd: join(image, 'initrd.gz'),
        console,
        // What is written goes into a file that dies with the machine.
        devices: [
          ...[
            '-drive',
            `if=none,id=disk,file=${comma(join(image, 'disk'))},format=raw,snapshot=on,cache=unsafe`,
          ],
          ...['-device', 'virtio-blk-pci,drive=disk'],
          ...['-netdev', `user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:${port}-:7125`],
          ...['-device', 'virtio-net-pci,netdev=net,romfile='],
          ...shared('share', share),
          ...devices,
        ],
        options: 'net.ifnames=0 selinux=0',
        // What uses vector registers of 256 bits where there are some takes twice as long: they are emulated, too.
        cpu: 'Nehalem',
      }),
    );
    try {
      await line.ready(180_000);
    } catch (error) {
      await line.stop();
      line.remove();
      throw error;
    }
    return new Vm(line, port, performance.now() - began);
  }

  get share(): string {
    return this.#line.share;
  }

  /** A line of shell, beside others: it can be watched, waited for and killed. */
  start(script: string, { user = 'pi', ...options }: CommandOptions = {}): Job {
    const home = user === 'pi' ? '/home/pi' : '/root';
    const login = `env -i HOME=${home} USER=${user} LOGNAME=${user} SHELL=/bin/bash LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
    const demote = user === 'pi' ? 'setpriv --reuid=pi --regid=pi --init-groups ' : '';
    return this.#line.start(`cd ${home} || exit 126\nexec ${demote}${login} bash -c ${quote(script)}\n`, {
      timeoutMs: 120_000,
      ...options,
    });
  }

  async sh(script: string, options: CommandOptions = {}): Promise<Outcome> {
    return this.start(script, options).ended;
  }

  /** Its output; @throws when it fails. */
  async said(script: string, options: CommandOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.sh(script, options);
    if (code !== 0) throw new Error(`${script}: code ${code}\n${stdout}\n${stderr}`);
    return stdout.trim();
  }

  console(): string {
    return this.#line.console();
  }

  async stop(): Promise<void> {
    await this.#line.stop();
    this.#line.remove();
  }
}
