// One command in the guest, from its script to its outcome. Its streams are files in the shared folder, so what was
// printed before a guest died is there.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface RunOptions {
  readonly input?: string | Uint8Array;
  /** The checkout if nothing is said. */
  readonly cwd?: string;
  /** On top of PATH, HOME and LANG. */
  readonly env?: Readonly<Record<string, string>>;
  /** `printer` may do nothing that root may; it is in no group but those named. */
  readonly user?: 'root' | 'printer';
  readonly groups?: readonly string[];
  /**
   * Which lines of this checkout Node executed is written down (tests/kernel/coverage.ts). Slower: nothing compiled is
   * kept, because V8 counts less of what it did not compile itself. A killed program leaves nothing.
   */
  readonly coverage?: boolean;
  /** Then everything that descends from the command is killed. */
  readonly timeoutMs?: number;
}

export interface Outcome {
  /** 128 + signal for a killed program, 125 when the guest died. */
  readonly code: number;
  /** As text; the bytes are in `bytes`. */
  readonly stdout: string;
  readonly stderr: string;
  readonly bytes: Buffer;
  readonly timedOut: boolean;
  /** Why the guest went away. */
  readonly died?: string;
}

const quote = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** For a POSIX shell. The environment is exactly what is said here. */
export function scriptOf(command: readonly string[], options: RunOptions): string {
  const printer = options.user === 'printer';
  const env = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: printer ? '/home/printer' : '/root',
    USER: printer ? 'printer' : 'root',
    LANG: 'C.UTF-8',
    ...(options.coverage === true
      ? { NODE_V8_COVERAGE: '/opt/share/coverage' }
      : { NODE_COMPILE_CACHE: '/opt/compiled' }),
    ...options.env,
  };
  const groups = options.groups ?? [];
  const demote = ['setpriv', '--reuid=printer', '--regid=printer', '--no-new-privs', '--inh-caps=-all'];
  demote.push(groups.length > 0 ? `--groups=${groups.join(',')}` : '--clear-groups');
  const words = [
    'env',
    '-i',
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ...(printer ? demote : []),
    ...command,
  ];
  return `cd ${quote(options.cwd ?? '/opt/octopus')} || exit 126\nexec ${words.map(quote).join(' ')}\n`;
}

interface Reins {
  signal(name: string): void;
  giveUp(why: string): void;
}

export class Job {
  /** Resolves always. */
  readonly ended: Promise<Outcome>;
  readonly #folder: string;
  readonly #reins: Reins;
  readonly #done = Promise.withResolvers<Outcome>();
  readonly #limit: NodeJS.Timeout;
  #patience: NodeJS.Timeout | undefined;
  #timedOut = false;
  #over = false;

  constructor(folder: string, timeoutMs: number, reins: Reins) {
    this.#folder = folder;
    this.#reins = reins;
    this.ended = this.#done.promise;
    this.#limit = setTimeout(() => {
      this.#timedOut = true;
      this.kill();
      // A guest that does not even kill is killed itself.
      this.#patience = setTimeout(
        () => reins.giveUp(`a command outlived its ${timeoutMs} ms and would not die`),
        15_000,
      );
    }, timeoutMs);
  }

  get over(): boolean {
    return this.#over;
  }

  /** What it printed so far. */
  stdout(): string {
    return this.#read('stdout').toString();
  }

  stderr(): string {
    return this.#read('stderr').toString();
  }

  /** To its process group. */
  signal(name: 'TERM' | 'INT' | 'HUP' | 'KILL' | 'STOP' | 'CONT' | 'USR1' | 'USR2'): void {
    if (!this.#over) this.#reins.signal(name);
  }

  /** It and whatever descends from it, daemons too. */
  kill(): void {
    if (!this.#over) this.#reins.signal('all');
  }

  /** Until its output shows this; an end before that, or the time, is an error that tells the output. */
  async prints(pattern: RegExp, timeoutMs = 30_000): Promise<RegExpExecArray> {
    const until = Date.now() + timeoutMs;
    for (;;) {
      const over = this.#over;
      const found = pattern.exec(this.stdout()) ?? pattern.exec(this.stderr());
      if (found !== null) return found;
      if (over || Date.now() > until)
        throw new Error(
          `${over ? 'ended' : 'waited'} without ${pattern}:\n${this.stdout()}\n${this.stderr()}`,
        );
      await sleep(20);
    }
  }

  /** For the guest only. */
  end(code: number, died?: string): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#limit);
    clearTimeout(this.#patience);
    const bytes = this.#read('stdout');
    this.#done.resolve({
      code,
      stdout: bytes.toString(),
      stderr: this.#read('stderr').toString() + (died === undefined ? '' : `\nthe guest: ${died}`),
      bytes,
      timedOut: this.#timedOut,
      ...(died === undefined ? {} : { died }),
    });
  }

  #read(name: string): Buffer {
    try {
      return readFileSync(join(this.#folder, name));
    } catch {
      return Buffer.alloc(0);
    }
  }
}
