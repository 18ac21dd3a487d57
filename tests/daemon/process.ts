// What the tests of the daemon as a process share: the real program, its exit codes, and the pins it leaves.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const octopus = resolve(import.meta.dirname, '../../bin/octopus');

export interface Ran {
  readonly code: number | null;
  // oxlint-disable-next-line typescript/no-explicit-any -- whatever the program said
  readonly answer: any;
}

/** One printer's folder, with the virtual board that lies in it between processes. */
export class Site {
  readonly printerData: string;
  readonly bench: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #children = new Set<ChildProcess>();

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.printerData = folder;
    this.bench = join(folder, 'bench');
    this.#env = { ...process.env, XDG_STATE_HOME: join(folder, 'state') };
    delete this.#env['NOTIFY_SOCKET'];
  }

  get socket(): string {
    return join(this.printerData, 'comms', 'octopus-flasher.sock');
  }

  /** The host's pins that somebody drives, whoever set them last: kept as a Raspberry Pi keeps it. */
  driven(): string[] {
    const levels: unknown = JSON.parse(readFileSync(join(this.bench, 'levels.json'), 'utf8')).pins;
    return Object.entries(levels as object).flatMap(([pin, drive]) => (drive === 'floating' ? [] : [pin]));
  }

  start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    const child = spawn(octopus, [...args, '--printer-data', this.printerData, '--json'], {
      env: { ...this.#env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stderr?.resume();
    this.#children.add(child);
    return child;
  }

  /** Its socket answers when this resolves. */
  async daemon(args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<ChildProcess> {
    const child = this.start(
      ['daemon', '--virtual', 'octopus-v1.1-f446', '--virtual-dir', this.bench, ...args],
      env,
    );
    for (let tries = 0; !existsSync(this.socket); tries++) {
      if (tries > 1000 || child.exitCode !== null) throw new Error('the daemon does not come up');
      await sleep(10);
    }
    return child;
  }

  async run(...args: readonly string[]): Promise<Ran> {
    return ended(this.start(args));
  }

  kill(): void {
    for (const child of this.#children) child.kill('SIGKILL');
  }
}

export async function ended(child: ChildProcess): Promise<Ran> {
  let out = '';
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const [code] = await once(child, 'close');
  return { code, answer: out === '' ? {} : JSON.parse(out) };
}

/** A command in a shell that may not write a byte to a file: a disk that is full. */
export function runOnFullDisk(site: Site, ...args: readonly string[]): Promise<Ran> {
  const all = [...args, '--printer-data', site.printerData, '--json'];
  return new Promise((done) => {
    execFile('sh', ['-c', `trap '' XFSZ; ulimit -f 0; exec "$0" "$@"`, octopus, ...all], (error, stdout) => {
      const code = typeof error?.code === 'number' ? error.code : 0;
      done({ code, answer: JSON.parse(stdout) });
    });
  });
}
