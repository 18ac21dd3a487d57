// A printer as its owner has it before and after `git clone` and `./install.sh`: the guest, the virtual Octopus on its
// USB and on a GPIO expander, the repository and the registry on the network, and a client of Moonraker's like Mainsail.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchOptions } from '../../../src/virtual/bench.ts';
import { serveBoard, type ServedBoard } from '../../kernel/served-board.ts';
import { PlainClient } from '../../moonraker/real/real-moonraker.ts';
import { figure } from './figures.ts';
import { Remotes } from './remotes.ts';
import { Source } from './source.ts';
import { HOST_ADDRESS, Vm, usbRedir, type Job, type Outcome, type Release } from './vm.ts';

export const CLONE = '/home/pi/octopus-flasher';
export const DATA = '/home/pi/printer_data';
export const UNIT = 'octopus-flasher';
type Answer = any; // oxlint-disable-line typescript/no-explicit-any -- whatever it says
/** The expander's chip that BOOT0 (line 0) and NRST (line 1) hang on. */
const CHIP = 'viperboard gpio a';

export class Site {
  readonly vm: Vm;
  readonly release: Release;
  readonly board: ServedBoard;
  readonly remotes: Remotes;
  readonly source: Source;
  readonly #clients: PlainClient[] = [];

  private constructor(release: Release, vm: Vm, board: ServedBoard, remotes: Remotes, source: Source) {
    this.release = release;
    [this.vm, this.board, this.remotes, this.source] = [vm, board, remotes, source];
  }

  /** Up to the clone; nothing is installed. */
  static async start(release: Release, options: BenchOptions = {}): Promise<Site> {
    const source = new Source();
    const remotes = await Remotes.serve(source.bare);
    const board = await serveBoard(options);
    let vm: Vm | undefined;
    try {
      vm = await Vm.boot({ release, devices: usbRedir(board.sockets.board, board.sockets.gpio) });
      figure({ release }, 'boot of the guest', vm.bootMs);
      const site = new Site(release, vm, board, remotes, source);
      mkdirSync(join(vm.share, 'images'));
      const host = `http://${HOST_ADDRESS}:${remotes.port}`;
      await vm.said(`echo registry=${host}/ >~/.npmrc && git clone -q ${host}/octopus-flasher.git ${CLONE}`);
      await site.klipperReady();
      return site;
    } catch (error) {
      await vm?.stop();
      await board.close();
      await remotes.close();
      source.remove();
      throw error;
    }
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.vm.stop();
    await this.board.close();
    await this.remotes.close();
    this.source.remove();
  }

  /** install.sh, as the user types it. */
  install(...flags: string[]): Job {
    return this.vm.start(`cd ${CLONE} && ./install.sh ${flags.join(' ')}`, { timeoutMs: 800_000 });
  }

  /** Where the two wires are here: what an owner writes for other pins than the usual ones. */
  async wire(): Promise<void> {
    const host = `${DATA}/octopus-flasher/host.conf`;
    await this.vm.said(
      `printf '[board octopus]\\nboot0_pin: ${CHIP}/gpio0\\nreset_pin: ${CHIP}/gpio1\\nunused_heaters: HE2, HE3\\n' >>${host}
      sed -i 's#^\\[octopus-flasher\\]$#&\\nfirmware_folders: /opt/share/images#' ${host}
      sudo systemctl restart ${UNIT}`,
    );
  }

  /** An image where the daemon may read it; the path in the guest. */
  image(name: string, bytes: Uint8Array): string {
    writeFileSync(join(this.vm.share, 'images', name), bytes);
    return `/opt/share/images/${name}`;
  }

  /** In the guest, by the command line of the clone: the last line of --json. */
  async octopus(...words: string[]): Promise<Answer> {
    const { stdout, stderr } = await this.vm.sh(`${CLONE}/bin/octopus ${words.join(' ')} --json`);
    const last = stdout.trim().split('\n').at(-1) ?? '';
    if (last === '') throw new Error(stderr);
    return JSON.parse(last);
  }

  async client(): Promise<PlainClient> {
    const client = await this.until('Moonraker takes a client', async () => {
      try {
        return await PlainClient.connect(this.vm.moonraker);
      } catch {
        return undefined;
      }
    });
    this.#clients.push(client);
    return client;
  }

  async klipperReady(): Promise<void> {
    await this.until(
      'Klipper is ready',
      async () => (await this.get('/server/info'))?.klippy_state === 'ready',
    );
  }

  /** The agent is there. */
  async registered(): Promise<void> {
    await this.until('the agent has registered', async () => {
      const { agents = [] } = (await this.get('/server/extensions/list')) ?? {};
      return agents.some(({ name }: { name: string }) => name === 'octopus');
    });
  }

  /** `result` of a GET, undefined while nobody answers. */
  async get(path: string): Promise<Answer> {
    try {
      const response = await fetch(this.vm.moonraker + path);
      return ((await response.json()) as { result: unknown }).result;
    } catch {
      return undefined;
    }
  }

  /** What the unit said since it was installed. */
  async journal(): Promise<string> {
    return (await this.vm.sh(`journalctl -u ${UNIT} --no-pager -o cat`, { user: 'root' })).stdout;
  }

  async until<T>(what: string, look: () => Promise<T | undefined | false>, limitMs = 180_000): Promise<T> {
    for (const limit = Date.now() + limitMs; ;) {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      if (Date.now() > limit) throw new Error(`not within ${limitMs} ms: ${what}\n${await this.journal()}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

export type { Job, Outcome };
