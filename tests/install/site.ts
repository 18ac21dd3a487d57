// A host for install.sh that is none: a home folder, a root folder, and stand-ins for what would change a real one, which
// note what they are told. The installer, its helpers and the program behind them are the real ones.
import { afterAll } from '@jest/globals';
import { execFile } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { SocketMoonraker } from '../support/socket-moonraker.ts';

export const repository = resolve(import.meta.dirname, '../..');
const PARTS = ['bin', 'config', 'macros', 'scripts', 'systemd'];
const FILES = ['install.sh', 'package.json', 'package-lock.json', 'system_dependencies.json', '.gitignore'];
const ORIGIN = 'https://github.com/octopus-flasher/octopus-flasher.git';

export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Of the first clone; the others have the same. */
let history: string | undefined;
afterAll(() => {
  if (history !== undefined) rmSync(history, { recursive: true, force: true });
});

export class InstallSite {
  readonly top = mkdtempSync(join(tmpdir(), 'octopus-install-'));
  readonly home = join(this.top, 'home');
  readonly root = join(this.top, 'root');
  readonly clone: string;
  readonly data: string;
  readonly moonrakers: SocketMoonraker[] = [];
  readonly #bin = join(this.top, 'bin');

  /** @param isWhole with the real program behind the installer; else a stand-in that arms and has nothing to say */
  constructor({ clone = 'octopus-flasher', data = 'printer_data', isWhole = false } = {}) {
    this.clone = join(this.home, clone);
    this.data = join(this.home, data);
    this.#makeClone(isWhole);
    this.#makeRoot();
    this.#makeTools();
    if (data !== '') this.addPrinter(data, 'klipper', 'moonraker');
  }

  /** As KIAUH leaves it. */
  addPrinter(name: string, klipper: string, moonraker: string): string {
    const data = join(this.home, name);
    this.write(join(data, 'config/printer.cfg'), '[include mainsail.cfg]\n\n[mcu]\nserial: /dev/x\n');
    this.write(join(data, 'config/moonraker.conf'), '[server]\nhost: 0.0.0.0\n\n[update_manager]\n');
    this.write(join(data, 'moonraker.asvc'), 'klipper_mcu\nwebcamd\nKlipperScreen\n');
    for (const folder of ['logs', 'comms', 'gcodes']) mkdirSync(join(data, folder));
    const words = `"${this.home}/klipper/klippy/klippy.py ${data}/config/printer.cfg -l ${data}/logs/klippy.log -a ${data}/comms/klippy.sock"`;
    this.write(join(data, 'systemd/klipper.env'), `KLIPPER_ARGS=${words}\n`);
    this.write(join(data, 'systemd/moonraker.env'), `MOONRAKER_ARGS="${this.home}/moonraker -d ${data}"\n`);
    for (const [unit, kind] of [
      [klipper, 'klipper'],
      [moonraker, 'moonraker'],
    ] as const)
      this.write(
        join(this.root, `etc/systemd/system/${unit}.service`),
        `[Service]\nType=simple\nUser=pi\nEnvironmentFile=${data}/systemd/${kind}.env\nExecStart=/x $ARGS\n`,
      );
    return data;
  }

  /** A Moonraker that answers for a printer; by default an idle one whose Klipper takes whatever it reads. */
  async addMoonraker(data = this.data, answers: { print?: string; idle?: string; klippy?: string } = {}) {
    const moonraker = await SocketMoonraker.listen(join(data, 'comms/moonraker.sock'));
    this.moonrakers.push(moonraker);
    moonraker.answers.set('server.info', () => ({
      klippy_connected: true,
      klippy_state: answers.klippy ?? 'ready',
    }));
    moonraker.answers.set('printer.objects.query', () => ({
      status: {
        print_stats: { state: answers.print ?? 'standby' },
        idle_timeout: { state: answers.idle ?? 'Idle' },
      },
    }));
    moonraker.answers.set('printer.restart', () => {
      moonraker.notify('notify_klippy_disconnected');
      return 'ok';
    });
    return moonraker;
  }

  async close(): Promise<void> {
    for (const one of this.moonrakers) await one.close();
    rmSync(this.top, { recursive: true, force: true });
  }

  run(
    args: readonly string[],
    { input = '', env = {} }: { input?: string; env?: NodeJS.ProcessEnv } = {},
  ): Promise<Ended> {
    return new Promise((done) => {
      const child = execFile(
        join(this.clone, 'install.sh'),
        [...args],
        {
          cwd: this.top,
          env: {
            ...process.env,
            HOME: this.home,
            PATH: `${this.#bin}:${dirname(process.execPath)}:/usr/bin:/bin`,
            OCTOPUS_INSTALL_ROOT: this.root,
            SITE: this.top,
            XDG_CACHE_HOME: join(this.top, 'cache'),
            ...env,
          },
        },
        (error, out, err) =>
          done({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 99, out, err }),
      );
      child.stdin?.end(input);
    });
  }

  /** What the stand-ins were told since the last look: `systemctl restart moonraker`. */
  told(): string[] {
    const file = join(this.top, 'told');
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    rmSync(file);
    return lines;
  }

  /** A stand-in for a program, in sh; it notes its arguments first. */
  tool(name: string, body: string, isNoted = true): void {
    const note = isNoted ? `echo "${name} $*" >>"$SITE/told"\n` : '';
    this.write(join(this.#bin, name), `#!/bin/sh\n${note}${body}\n`);
    chmodSync(join(this.#bin, name), 0o755);
  }

  write(file: string, text: string): void {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  read(...parts: string[]): string {
    return readFileSync(join(...parts), 'utf8');
  }

  /** Every file, folder and link of home and root with content, mode and time of change: what a run may have touched. */
  snapshot({ times = true } = {}): Record<string, string> {
    const seen: Record<string, string> = {};
    const look = (path: string) => {
      const stat = lstatSync(path);
      const time = times ? ` ${stat.mtimeMs}` : '';
      const mode = (stat.mode & 0o7777).toString(8);
      if (stat.isSymbolicLink()) seen[path] = `-> ${readlinkSync(path)}`;
      else if (stat.isDirectory()) {
        seen[path] = `folder ${mode}`;
        for (const name of readdirSync(path)) look(join(path, name));
      } else if (!stat.isSocket()) seen[path] = `${mode}${time} ${readFileSync(path, 'latin1')}`;
    };
    for (const top of [this.home, this.root]) look(top);
    return seen;
  }

  #makeClone(isWhole: boolean): void {
    mkdirSync(this.clone, { recursive: true });
    for (const part of isWhole ? [...PARTS, 'src'] : [...PARTS, 'src/boards/boards'])
      cpSync(join(repository, part), join(this.clone, part), { recursive: true });
    for (const file of FILES) cpSync(join(repository, file), join(this.clone, file));
    // Complete, whatever way the packages of this checkout were installed.
    mkdirSync(join(this.clone, 'node_modules'));
    for (const name of readdirSync(join(repository, 'node_modules')))
      if (name !== '.octopus-lock.json')
        symlinkSync(join(repository, 'node_modules', name), join(this.clone, 'node_modules', name));
    cpSync(join(repository, 'package-lock.json'), join(this.clone, 'node_modules/.octopus-lock.json'));
    if (!isWhole) {
      const file = '"$3/octopus-flasher/host.conf"';
      this.write(
        join(this.clone, 'bin/octopus'),
        `#!/bin/sh\ncase "$1" in arm) sed -i 's/^armed:.*/armed: yes/' ${file} ;; disarm) sed -i 's/^armed:.*/armed: no/' ${file} ;; esac\n`,
      );
    }
    if (history !== undefined) {
      cpSync(history, join(this.clone, '.git'), { recursive: true });
      return;
    }
    this.git('init', '-q', '-b', 'main');
    this.git('remote', 'add', 'origin', ORIGIN);
    this.git('add', 'install.sh');
    this.git('commit', '-qm', 'x');
    this.git('tag', 'v0.1.0');
    history = mkdtempSync(join(tmpdir(), 'octopus-install-git-'));
    cpSync(join(this.clone, '.git'), history, { recursive: true });
  }

  git(...args: string[]): void {
    const { spawnSync } = process.getBuiltinModule('node:child_process');
    const ran = spawnSync(
      'git',
      ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-C', this.clone, ...args],
      {
        env: { ...process.env, HOME: this.top },
      },
    );
    if (ran.status !== 0) throw new Error(`git ${args.join(' ')}: ${ran.stderr.toString()}`);
  }

  #makeRoot(): void {
    const etc = join(this.root, 'etc');
    mkdirSync(join(etc, 'systemd/system'), { recursive: true });
    mkdirSync(join(etc, 'udev/rules.d'), { recursive: true });
    this.write(
      join(etc, 'os-release'),
      'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n',
    );
    this.write(
      join(etc, 'group'),
      'root:x:0:\ndialout:x:20:\nplugdev:x:46:\ngpio:x:993:\nmoonraker-admin:x:994:\n',
    );
  }

  #makeTools(): void {
    this.tool(
      'id',
      'case "$1" in -u) echo 1000 ;; -un) echo pi ;; -nG) echo "pi dialout" $(cat "$SITE"/group-* 2>/dev/null) ;; esac',
      false,
    );
    this.tool('dpkg', 'echo arm64', false);
    this.tool('sudo', 'echo sudo >>"$SITE/sudo"; exec "$@"', false);
    for (const name of ['udevadm', 'apt-get', 'npm']) this.tool(name, ':');
    this.tool('groupadd', 'echo "$2:x:990:" >>"$OCTOPUS_INSTALL_ROOT/etc/group"');
    this.tool('groupdel', 'sed -i "/^$1:/d" "$OCTOPUS_INSTALL_ROOT/etc/group"');
    this.tool('usermod', 'echo "$2" >"$SITE/group-$2"');
    this.tool('gpasswd', 'rm "$SITE/group-$3"');
    this.tool(
      'systemctl',
      `state="$SITE/systemctl-$2"
case "$1" in
  is-enabled|is-active) for last; do :; done; exec test -e "$SITE/$1-$last" ;;
esac
echo "systemctl $*" >>"$SITE/told"
for last; do :; done
case "$1" in
  enable) : >"$SITE/is-enabled-$last"; case "$2" in --now) : >"$SITE/is-active-$last" ;; esac ;;
  start|restart) : >"$SITE/is-active-$last" ;;
  disable) rm -f "$SITE/is-enabled-$last"; case "$2" in --now) rm -f "$SITE/is-active-$last" ;; esac ;;
esac`,
      false,
    );
  }
}
