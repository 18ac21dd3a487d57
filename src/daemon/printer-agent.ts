// Daemon, one printer: the agent at its Moonraker, Klipper as that Moonraker tells it, and its console.
import { dialerOf } from '../compose/dialer.ts';
import type { MoonrakerAddress } from '../config/locations.ts';
import type { PrinterSettings } from '../config/settings.ts';
import { asOctopusError } from '../errors.ts';
import type { JobEvent } from '../jobs/job.ts';
import type { Logger } from '../log.ts';
import { createAgent, type Agent } from '../moonraker/agent.ts';
import { MoonrakerPrinter } from '../moonraker/printer.ts';
import type { MethodTable, Params, Via as AgentVia } from '../moonraker/serving.ts';
import type { LinkEvent } from '../moonraker/link.ts';
import type { Clock } from '../ports/clock.ts';
import type { Printer } from '../ports/printer.ts';
import { PrinterConsole } from './console.ts';
import { servedTo, type Desk } from './desk.ts';
import type { Origin } from './origin.ts';
import { summaryOf } from './summary.ts';
import { sayEnd, sayRefusal } from './words.ts';

/** design, "Names". */
const AGENT = 'octopus';
const HOMEPAGE = 'https://github.com/octopus-flasher/octopus-flasher';

export interface PrinterAgentParts {
  readonly settings: PrinterSettings;
  readonly address: Exclude<MoonrakerAddress, { kind: 'none' }>;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly desk: () => Desk;
  readonly onLink: (event: LinkEvent) => void;
}

export class PrinterAgent {
  readonly name: string;
  readonly #parts: PrinterAgentParts;
  readonly #agent: Agent;
  readonly #console: PrinterConsole;
  readonly #printers = new Map<string, Printer>();
  /** Of running jobs, by their ids. */
  #lastReason: string | undefined;
  readonly #plans = new Map<string, string>();

  constructor(parts: PrinterAgentParts) {
    const { settings, version, clock, log } = parts;
    const { apiKey } = settings;
    this.name = settings.name;
    this.#parts = parts;
    const key = apiKey === undefined ? {} : { apiKey };
    this.#agent = createAgent({
      dialer: dialerOf(parts.address, apiKey),
      clock,
      identity: { name: AGENT, version, url: HOMEPAGE, ...key },
      methods: this.#methods(),
      onEvent: (event) => this.#hear(event),
    });
    this.#console = new PrinterConsole(this.#agent.link, clock, log);
  }

  get isUp(): boolean {
    return this.#agent.link.isUp;
  }

  /** @param mcu the board's section in printer.cfg */
  printer(mcu: string): Printer {
    const known =
      this.#printers.get(mcu) ??
      new MoonrakerPrinter({ link: this.#agent.link, clock: this.#parts.clock, mcu });
    this.#printers.set(mcu, known);
    return known;
  }

  run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#console.stop(), { once: true });
    return this.#agent.run(signal);
  }

  /** Calls `listener` each time the connection is there. */
  onUp(listener: () => void): void {
    this.#agent.link.onUp(listener);
  }

  /** To every client of this Moonraker, and to the console what was asked for from afar. */
  tell(event: JobEvent, origin: Origin, notifier: string | undefined): void {
    this.#agent.events.tell(event);
    // Who started it in a terminal of the host reads it there.
    if (origin.via === 'local' && notifier === undefined) return;
    if (event.kind === 'plan') this.#plans.set(event.job, event.text);
    if (event.kind === 'ended') {
      const plan = this.#plans.get(event.job);
      this.#plans.delete(event.job);
      this.#console.say(sayEnd(event, plan), notifier);
    }
  }

  #methods(): MethodTable {
    return new Map(
      servedTo({ via: 'request' }).map((name) => [
        name,
        (params: Params, via: AgentVia) => this.#call(name, params, via),
      ]),
    );
  }

  async #call(name: string, params: Params, via: AgentVia): Promise<object> {
    const origin = { via, printer: this.name };
    try {
      const answer = await this.#parts.desk().call(name, params, origin);
      // A macro hears no answer: what it asked for is told on the console; a job tells its own end.
      if (via === 'macro' && !('job' in answer))
        this.#console.say({ isError: false, lines: summaryOf(name, answer) });
      return answer;
    } catch (thrown) {
      if (via === 'macro') this.#console.say(sayRefusal(name, asOctopusError(thrown)));
      throw thrown;
    }
  }

  #hear(event: LinkEvent): void {
    const { log } = this.#parts;
    if (event.kind === 'up') log.info({ place: event.place }, `registered at Moonraker as agent ${AGENT}`);
    // A Moonraker that is away for the night is one line, not thousands.
    else if (event.kind === 'down' && event.reason === this.#lastReason)
      log.debug(event, 'still no connection');
    else if (event.kind === 'down') log.warn(event, 'no connection to Moonraker');
    else log.warn(event.text);
    this.#lastReason = event.kind === 'down' ? event.reason : undefined;
    this.#parts.onLink(event);
  }
}
