// The track of `npm run bench:peers`: one guest with one virtual board, our daemon running in it, and three runners that
// each write one image: the daemon asked through its socket, the command line as a process, dfu-util.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BenchOptions, VirtualBench } from '../../src/virtual/bench.ts';
import { Guest, NODE, REPO, SHARE, usbRedir, type Job } from '../kernel/guest.ts';
import { serveBoard, type ServedBoard } from '../kernel/served-board.ts';
import { waitForUsb } from '../kernel/usb.ts';

/** One run, ms. */
export interface Sample {
  /** As whoever asked for it sees it, by the guest's clock. */
  readonly wallMs: number;
  /** Ours: from the ROM seen (BOOT0 let go) to reset released, on the wires. dfu-util: first to last DFU request. */
  readonly inDfuMs: number;
  /** DFU requests that reached the chip. */
  readonly requests: number;
  /** Ours, by its own stopwatch. */
  readonly phases: Readonly<Record<string, number>>;
}

export interface Lap {
  readonly address: number;
  /** What lies there before, put there without any time. */
  readonly before: Uint8Array;
  readonly image: Uint8Array;
}

const GPIO = "'viperboard gpio a'";
const HOME = '/root/printer_data';
const DATA = `${HOME}/octopus-flasher`;
const ALONE = '/root/alone';
/** A daemon would take over what the command line is asked, so the process has a folder without a socket. */
const PROCESS = ['--printer-data', ALONE, '--data', DATA];
const CONFIRM = ['cold', 'still'];
const RUN_MS = 600_000;

export class Track {
  readonly #guest: Guest;
  readonly #served: ServedBoard;
  readonly #daemon: Job;
  #seen = { romAt: 0, releasedAt: 0, firstAt: 0, lastAt: 0, requests: 0 };

  private constructor(guest: Guest, served: ServedBoard, daemon: Job) {
    [this.#guest, this.#served, this.#daemon] = [guest, served, daemon];
    this.#watch(served.bench);
  }

  static async open(options: BenchOptions, heaters: string): Promise<Track> {
    const served = await serveBoard(options);
    const guest = await Guest.boot({
      modules: ['xhci_pci', 'cdc_acm', 'viperboard', 'gpio_viperboard'],
      devices: usbRedir(served.sockets.board, served.sockets.gpio),
      udev: true,
    });
    await waitForUsb(guest, '1d50:614e');
    await waitForUsb(guest, '2058:1005');
    const detected = await guest.run(['gpiodetect']);
    const chip = /^(gpiochip\d+) \[viperboard gpio a\]/m.exec(detected.stdout)?.[1];
    if (chip === undefined) throw new Error(`no expander: ${detected.stdout}${detected.stderr}`);
    const own = `[octopus-flasher]\nmoonraker: none\n[board octopus]\nboard: ${options.board}\n`;
    const host = `[board octopus]\nboot0_pin: ${chip}/gpio0\nreset_pin: ${chip}/gpio1\nunused_heaters: ${heaters}\n`;
    const script = [HOME, ALONE].flatMap((folder) => [
      `mkdir -p ${folder}/config ${folder}/comms ${folder}/octopus-flasher`,
      `printf '%s' '${own}' > ${folder}/config/octopus-flasher.conf`,
      `(umask 077; printf '%s' '${host}' > ${folder}/octopus-flasher/host.conf)`,
    ]);
    await mustDo(guest, script.join('\n'));
    const daemon = guest.start([`${REPO}/bin/octopus`, 'daemon'], { timeoutMs: 7_200_000 });
    const socket = `${HOME}/comms/octopus-flasher.sock`;
    await mustDo(guest, `until [ -S ${socket} ]; do sleep 0.2; done`, 120_000).catch((cause: unknown) => {
      throw new Error(`the daemon does not serve: ${daemon.stdout()}${daemon.stderr()}`, { cause });
    });
    return new Track(guest, served, daemon);
  }

  async close(): Promise<void> {
    this.#daemon.kill();
    await this.#guest.stop();
    await this.#served.close();
  }

  /** From the request on the socket to the job's end. */
  async daemon(lap: Lap): Promise<Sample> {
    this.#prepare(lap);
    const params = { image: `${SHARE}/image.bin`, confirm: CONFIRM };
    const { code, stdout, stderr } = await this.#guest.run(
      [NODE, 'tests/bench/peers-client.ts', `${HOME}/comms/octopus-flasher.sock`, JSON.stringify(params)],
      { timeoutMs: RUN_MS },
    );
    const answer = code === 0 ? JSON.parse(stdout) : undefined;
    if (answer?.state !== 'done') throw new Error(`the daemon: ${stdout}${stderr}${this.#daemon.stderr()}`);
    return this.#sample(lap, answer.wallMs, answer.result.timings);
  }

  /** From the start of `octopus` to its end. */
  async process(lap: Lap): Promise<Sample> {
    this.#prepare(lap);
    const confirm = CONFIRM.flatMap((what) => ['--confirm', what]);
    const command = [`${REPO}/bin/octopus`, ...PROCESS, '--json', 'flash', '--image', `${SHARE}/image.bin`];
    const { wallMs, output } = await this.#timed([...command, ...confirm]);
    const line = output.split('\n').find((one) => one.startsWith('{')) ?? '{}';
    return this.#sample(lap, wallMs, JSON.parse(line).timings ?? {});
  }

  /** From the start of `dfu-util` to its end; the ROM is entered before and left by reset afterwards. */
  async dfuUtil(lap: Lap): Promise<Sample> {
    this.#prepare(lap);
    await mustDo(this.#guest, `gpioset ${GPIO} 0=1 1=0; sleep 0.3; gpioget ${GPIO} 1 >/tmp/level; exec true`);
    await waitForUsb(this.#guest, '0483:df11');
    await mustDo(this.#guest, `gpioget ${GPIO} 0; udevadm settle; sleep 0.3`);
    const at = `0x${lap.address.toString(16).padStart(8, '0')}`;
    const { wallMs } = await this.#timed([
      ...['dfu-util', '-a', '0', '-s', at],
      ...['-D', `${SHARE}/image.bin`],
    ]);
    const { firstAt, lastAt } = this.#seen;
    const sample = this.#sample(lap, wallMs, {});
    await this.reset();
    return { ...sample, inDfuMs: lastAt - firstAt };
  }

  /** By reset, with BOOT0 floating; until its Klipper is there. */
  async reset(): Promise<void> {
    await mustDo(this.#guest, `gpioget ${GPIO} 0; gpioset ${GPIO} 1=0; sleep 0.3; gpioget ${GPIO} 1`);
    await waitForUsb(this.#guest, '1d50:614e');
    await mustDo(this.#guest, 'udevadm settle; until [ -e /dev/ttyACM0 ]; do sleep 0.1; done');
  }

  /** The kernel's and dfu-util's own words for themselves. */
  async names(): Promise<{ readonly kernel: string; readonly dfuUtil: string }> {
    const kernel = await this.#guest.run(['uname', '-r']);
    const dfuUtil = await this.#guest.run(['dfu-util', '-V']);
    return {
      kernel: kernel.stdout.trim(),
      dfuUtil: /^dfu-util \S+/m.exec(dfuUtil.stdout)?.[0] ?? 'dfu-util',
    };
  }

  #prepare({ address, before, image }: Lap): void {
    this.#served.bench.flash.load(address, before);
    writeFileSync(join(this.#guest.share, 'image.bin'), image);
    this.#seen = { romAt: 0, releasedAt: 0, firstAt: 0, lastAt: 0, requests: 0 };
  }

  /** Output goes to memory in the guest: its way to the host takes time that is no runner's. */
  async #timed(command: readonly string[]): Promise<{ readonly wallMs: number; readonly output: string }> {
    const script =
      'a=$EPOCHREALTIME; "$@" >/tmp/output 2>&1; c=$?; b=$EPOCHREALTIME; echo "$a $b $c"; cat /tmp/output';
    const outcome = await this.#guest.run(['bash', '-c', script, 'timed', ...command], { timeoutMs: RUN_MS });
    const [times = '', ...rest] = outcome.stdout.split('\n');
    const [from, to, code] = times.split(' ').map(Number);
    const output = rest.join('\n');
    if (code !== 0 || from === undefined || to === undefined)
      throw new Error(`${command.join(' ')}: ${times}\n${output}${outcome.stderr}`);
    return { wallMs: (to - from) * 1000, output };
  }

  #sample({ address, image }: Lap, wallMs: number, phases: Sample['phases']): Sample {
    const { romAt, releasedAt, requests } = this.#seen;
    const holds = Buffer.from(image).equals(this.#served.bench.flash.peek(address, image.length));
    if (!holds) throw new Error('the flash does not hold the image');
    return { wallMs, inDfuMs: releasedAt - romAt, requests, phases };
  }

  /** The wires and the chip's end of the cable, by this machine's clock. */
  #watch({ lines, faults }: VirtualBench): void {
    const { boot0Pin, nrstPin } = lines.settings;
    lines.onLineChange(({ pin, drive }) => {
      if (drive !== 'floating') return;
      if (pin === boot0Pin) this.#seen.romAt = performance.now();
      if (pin === nrstPin) this.#seen.releasedAt = performance.now();
    });
    faults.beforeTransfer = (_n, { bmRequestType }) => {
      // USB 2.0 table 9-2: a class request.
      if ((bmRequestType & 0x60) !== 0x20) return undefined;
      this.#seen.firstAt ||= performance.now();
      this.#seen.lastAt = performance.now();
      this.#seen.requests += 1;
      return undefined;
    };
  }
}

async function mustDo(guest: Guest, script: string, timeoutMs = 60_000): Promise<void> {
  const { code, stdout, stderr } = await guest.sh(script, { timeoutMs });
  if (code !== 0) throw new Error(`in the guest: ${script}\n${stdout}${stderr}`);
}
