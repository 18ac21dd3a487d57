// Composition, the printer of one command where no daemon runs: a connection for as long as the command lasts, as a
// client like others. It is no agent: that name is the daemon's, and nobody calls a command.
import type { MoonrakerAddress } from '../config/locations.ts';
import { OctopusError } from '../errors.ts';
import { MoonrakerLink, type LinkEvent } from '../moonraker/link.ts';
import { MoonrakerPrinter } from '../moonraker/printer.ts';
import type { Clock } from '../ports/clock.ts';
import type { Printer } from '../ports/printer.ts';
import { dialerOf } from './dialer.ts';

export interface CommandPrinterParts {
  readonly address: Exclude<MoonrakerAddress, { kind: 'none' }>;
  readonly apiKey: string | undefined;
  /** The board's section in printer.cfg. */
  readonly mcu: string;
  readonly version: string;
  readonly clock: Clock;
}

const CLIENT = 'octopus command';
const HOMEPAGE = 'https://github.com/octopus-flasher/octopus-flasher';

/** Connects at the first question; a Moonraker that is not there is told at once and not waited for. */
export class CommandPrinter implements Printer {
  readonly #link: MoonrakerLink;
  readonly #printer: Printer;
  readonly #place: string;
  readonly #over = new AbortController();
  #running: Promise<void> | undefined;
  #first: Promise<LinkEvent> | undefined;
  #hear: (event: LinkEvent) => void = () => {};

  constructor({ address, apiKey, mcu, version, clock }: CommandPrinterParts) {
    const dialer = dialerOf(address, apiKey);
    this.#place = dialer.place;
    this.#link = new MoonrakerLink({
      dialer,
      clock,
      identity: {
        name: CLIENT,
        version,
        url: HOMEPAGE,
        type: 'other',
        ...(apiKey === undefined ? {} : { apiKey }),
      },
      methods: new Map(),
      remoteMethods: [],
      onEvent: (event) => this.#hear(event),
    });
    this.#printer = new MoonrakerPrinter({ link: this.#link, clock, mcu });
  }

  async read() {
    return (await this.#connected()).read();
  }

  async stopKlipper() {
    return (await this.#connected()).stopKlipper();
  }

  async startKlipper() {
    return (await this.#connected()).startKlipper();
  }

  onForeignStart(listener: () => void) {
    return this.#printer.onForeignStart(listener);
  }

  async setPower(device: string, state: 'on' | 'off') {
    return (await this.#connected()).setPower(device, state);
  }

  async canNodes() {
    return (await this.#connected()).canNodes();
  }

  async verdict(timeoutMs: number) {
    return (await this.#connected()).verdict(timeoutMs);
  }

  async close(): Promise<void> {
    this.#over.abort();
    await this.#running;
  }

  /** Once it has been there, the link itself waits for a Moonraker that restarts. */
  async #connected(): Promise<Printer> {
    this.#first ??= this.#connect();
    const first = await this.#first;
    if (first.kind !== 'down' || this.#link.isUp) return this.#printer;
    throw new OctopusError('printer-unreachable', first.reason, {
      place: this.#place,
      advice:
        `${first.advice ?? 'Check that Moonraker runs (systemctl status moonraker).'} If this board belongs to no ` +
        'printer, say so: moonraker: none in octopus-flasher.conf.',
    });
  }

  #connect(): Promise<LinkEvent> {
    return new Promise((resolve) => {
      this.#hear = (event) => {
        if (event.kind !== 'trouble') resolve(event);
      };
      this.#running = this.#link.run(this.#over.signal);
    });
  }
}
