// Daemon, the printer's console: says what there is to say as soon as Klipper can, in the order it came.
import type { Logger } from '../log.ts';
import type { MoonrakerLink } from '../moonraker/link.ts';
import { waitFor } from '../moonraker/later.ts';
import { isObject } from '../moonraker/serving.ts';
import type { Clock } from '../ports/clock.ts';
import { notifyScriptOf, scriptOf, type Saying, type Voices } from './words.ts';

/** A result that nobody could be told for so long is in the log and in octopus.job_get. */
const PATIENCE_MS = 15 * 60_000;
/** There is no event for a Klipper that starts into its error state. */
const LOOK_MS = 2000;
const SCRIPT_TIMEOUT_MS = 30_000;
const WAITING_MAX = 20;
/** From Klipper's own `ready` to Moonraker's word for it: about 0.3 s. */
const READY_WORD_MS = 10_000;

type ConsoleLink = Pick<MoonrakerLink, 'request' | 'onNotification' | 'onUp'>;

export class PrinterConsole {
  readonly #link: ConsoleLink;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #abort = new AbortController();
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;
  /** Moonraker has not yet said that the Klipper which came back is ready. */
  #isComing = false;

  constructor(link: ConsoleLink, clock: Clock, log: Logger) {
    this.#link = link;
    this.#clock = clock;
    this.#log = log;
    link.onNotification('notify_klippy_disconnected', () => (this.#isComing = true));
    link.onNotification('notify_klippy_ready', () => (this.#isComing = false));
    link.onUp(() => (this.#isComing = false));
  }

  /** @param notifier one of Moonraker's, told as well */
  say(saying: Saying, notifier?: string): void {
    if (this.#waiting >= WAITING_MAX) {
      this.#log.warn({ lines: saying.lines }, 'too much waits for the console: dropped');
      return;
    }
    this.#waiting++;
    this.#last = this.#after(this.#last, saying, notifier);
  }

  /** What still waits is dropped. */
  stop(): void {
    this.#abort.abort();
  }

  async #after(before: Promise<void>, saying: Saying, notifier: string | undefined): Promise<void> {
    await before;
    try {
      await this.#deliver(saying, notifier);
    } catch (error) {
      this.#log.warn({ err: error, lines: saying.lines }, 'the console could not be told');
    } finally {
      this.#waiting--;
    }
  }

  async #deliver(saying: Saying, notifier: string | undefined): Promise<void> {
    const voices = await this.#voices();
    if (voices === undefined) return;
    const script = scriptOf(saying, voices);
    if (script === undefined)
      this.#log.warn('the console has no voice: add [respond] or [include octopus.cfg]');
    else if (script !== '') await this.#run(script);
    if (notifier === undefined) return;
    if (voices.notifyMacro) {
      // Until then Moonraker's `notify` is not registered with Klipper, and the call would be lost without a word.
      const until = this.#clock.now() + READY_WORD_MS;
      while (this.#isComing && this.#clock.now() < until) await this.#nextChange();
      await this.#run(notifyScriptOf(notifier, saying));
    } else this.#log.warn({ notifier }, 'a notifier needs the macros: [include octopus.cfg] in printer.cfg');
  }

  async #run(script: string): Promise<void> {
    await this.#link.request('printer.gcode.script', { script }, { timeoutMs: SCRIPT_TIMEOUT_MS });
  }

  /** Waits until Klipper can be spoken to; undefined when it cannot for too long. */
  async #voices(): Promise<Voices | undefined> {
    const until = this.#clock.now() + PATIENCE_MS;
    while (!this.#abort.signal.aborted && this.#clock.now() < until) {
      const voices = await this.#look().catch(() => undefined);
      if (voices !== undefined) return voices;
      await this.#nextChange();
    }
    return undefined;
  }

  /** Undefined while Klipper starts. Rejects while it is not there. */
  async #look(): Promise<Voices | undefined> {
    const info = await this.#link.request('server.info');
    const state = isObject(info) ? info['klippy_state'] : undefined;
    if (state !== 'ready' && state !== 'error' && state !== 'shutdown') return undefined;
    // Not objects/list: it leaves out what has no status, and [respond] has none (klippy/webhooks.py).
    const commands = await this.#link.request('printer.gcode.help');
    const has = (name: string) => isObject(commands) && name in commands;
    // Macros are refused in every other state.
    const isReady = state === 'ready';
    return {
      respond: has('RESPOND'),
      sayMacro: isReady && has('_OCTOPUS_SAY'),
      notifyMacro: isReady && has('_OCTOPUS_NOTIFY'),
    };
  }

  #nextChange(): Promise<void> {
    return waitFor(this.#clock, LOOK_MS, (wake) => {
      const offs = [
        this.#link.onUp(wake),
        this.#link.onNotification('notify_klippy_ready', wake),
        this.#link.onNotification('notify_klippy_shutdown', wake),
      ];
      this.#abort.signal.addEventListener('abort', wake, { once: true });
      return () => {
        for (const off of offs) off();
        this.#abort.signal.removeEventListener('abort', wake);
      };
    });
  }
}
