// Moonraker, the link: keeps one connection alive for ever, as a named agent with its remote methods.
import { asOctopusError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { Unsubscribe } from '../ports/usb.ts';
import { identify, registerRemoteMethods, type Identity } from './introduce.ts';
import { later, waitFor } from './later.ts';
import { unreachable } from './rpc-errors.ts';
import { Serving, type MethodTable } from './serving.ts';
import { Session } from './session.ts';
import type { Dialer } from './wire.ts';

export type LinkEvent =
  | { readonly kind: 'up'; readonly place: string }
  | {
      readonly kind: 'down';
      readonly place: string;
      readonly reason: string;
      /** What the user should do, where waiting alone will not help. */
      readonly advice?: string;
      readonly retryInMs: number;
    }
  /** Something odd that the connection survives. */
  | { readonly kind: 'trouble'; readonly text: string };

export interface LinkParts {
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly identity: Identity;
  readonly methods: MethodTable;
  /** Those of `methods` that macros may call through Klipper. */
  readonly remoteMethods: readonly string[];
  /** For the log. */
  readonly onEvent: (event: LinkEvent) => void;
}

export interface RequestOptions {
  readonly timeoutMs?: number;
  /** How long to wait for the connection first, if it is down. */
  readonly waitMs?: number;
}

const REQUEST_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;
/**
 * A Moonraker that restarts goes on accepting connections on its Unix socket for up to a second, and never answers
 * on them (seen with v0.10): so never sooner than this after a close.
 */
const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 10_000;
const RETRY_FACTOR = 1.5;
/**
 * Moonraker sends notify_proc_stat_update to every connection each second (moonraker/components/proc_stats.py).
 * Counted in looks of ours, so that a halted process does not take its own absence for Moonraker's.
 */
const LOOK_MS = 2000;
const SILENT_LOOKS = 5;

export class MoonrakerLink {
  readonly #parts: LinkParts;
  readonly #serving: Serving;
  readonly #listeners = new Map<string, Set<(params: unknown) => void>>();
  readonly #upListeners = new Set<() => void>();
  #session: Session | undefined;

  constructor(parts: LinkParts) {
    this.#parts = parts;
    this.#serving = new Serving(parts.methods);
  }

  get isUp(): boolean {
    return this.#open !== undefined;
  }

  /** A session ends a moment before `run` hears of it. */
  get #open(): Session | undefined {
    return this.#session?.isOpen === true ? this.#session : undefined;
  }

  /** Connects and reconnects until `signal` is aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, dialer, onEvent } = this.#parts;
    let retryMs = RETRY_FIRST_MS;
    while (!signal.aborted) {
      const { wasUp, reason, advice } = await this.#live(signal);
      if (signal.aborted) return;
      if (wasUp) retryMs = RETRY_FIRST_MS;
      onEvent({
        kind: 'down',
        place: dialer.place,
        reason,
        ...(advice === undefined ? {} : { advice }),
        retryInMs: retryMs,
      });
      await clock.sleep(retryMs, signal).catch(() => {});
      retryMs = Math.min(RETRY_MAX_MS, retryMs * RETRY_FACTOR);
    }
  }

  /**
   * Asks Moonraker. Rejects with MoonrakerRefusal when it says no, `printer-unreachable` when there is no connection
   * or no answer in time (10 s unless given).
   */
  async request(method: string, params?: object, options: RequestOptions = {}): Promise<unknown> {
    const session = this.#open ?? (await this.#nextSession(options.waitMs ?? 0));
    if (session === undefined)
      throw unreachable('there is no connection to Moonraker', this.#parts.dialer.place);
    return session.request(method, params, options.timeoutMs ?? REQUEST_TIMEOUT_MS);
  }

  /** Sends without waiting for an answer; false when there is no connection. */
  notify(method: string, params: object): boolean {
    const session = this.#open;
    session?.notify(method, params);
    return session !== undefined;
  }

  /** Hears Moonraker's notifications of that name: `notify_klippy_ready`. */
  onNotification(method: string, listener: (params: unknown) => void): Unsubscribe {
    const listeners = this.#listeners.get(method) ?? new Set();
    this.#listeners.set(method, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** Called each time the connection is there again: what was told meanwhile has been missed. */
  onUp(listener: () => void): Unsubscribe {
    this.#upListeners.add(listener);
    return () => void this.#upListeners.delete(listener);
  }

  /** One connection from dialing to its end. */
  async #live(signal: AbortSignal): Promise<{ wasUp: boolean; reason: string; advice?: string }> {
    const { clock, dialer, identity, onEvent, remoteMethods } = this.#parts;
    const session = new Session({
      clock,
      place: dialer.place,
      serving: this.#serving,
      onNotification: (method, params) => this.#hear(method, params),
      onTrouble: (text) => onEvent({ kind: 'trouble', text }),
    });
    const stop = () => session.close('octopus stops');
    signal.addEventListener('abort', stop, { once: true });
    try {
      session.attach(await this.#dial(session, signal));
      await identify(session, identity, dialer.place);
      for (const text of await registerRemoteMethods(session, remoteMethods))
        onEvent({ kind: 'trouble', text });
      this.#comeUp(session);
      return { wasUp: true, reason: await this.#watch(session) };
    } catch (thrown) {
      const { message, advice } = asOctopusError(thrown);
      session.close(message);
      return { wasUp: false, reason: message, advice };
    } finally {
      this.#session = undefined;
      signal.removeEventListener('abort', stop);
    }
  }

  async #dial(session: Session, signal: AbortSignal) {
    const { clock, dialer } = this.#parts;
    const over = new AbortController();
    const callOff = later(clock, CONNECT_TIMEOUT_MS, () => over.abort());
    try {
      return await dialer.connect(session, AbortSignal.any([signal, over.signal]));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw unreachable(`Moonraker cannot be reached at ${dialer.place}: ${why}`, dialer.place, cause);
    } finally {
      callOff();
    }
  }

  #comeUp(session: Session): void {
    this.#session = session;
    this.#parts.onEvent({ kind: 'up', place: this.#parts.dialer.place });
    for (const listener of this.#upListeners) this.#guard(listener);
  }

  /** Until the connection ends, by itself or because nothing comes on it any more. */
  async #watch(session: Session): Promise<string> {
    const over = new AbortController();
    void this.#beat(session, over.signal);
    const reason = await session.ended;
    over.abort();
    return reason;
  }

  async #beat(session: Session, signal: AbortSignal): Promise<void> {
    let heard = session.heard;
    let silent = 0;
    while (silent < SILENT_LOOKS) {
      try {
        await this.#parts.clock.sleep(LOOK_MS, signal);
      } catch {
        return;
      }
      silent = session.heard === heard ? silent + 1 : 0;
      heard = session.heard;
    }
    session.close(`nothing came from Moonraker for ${(SILENT_LOOKS * LOOK_MS) / 1000} s`);
  }

  async #nextSession(waitMs: number): Promise<Session | undefined> {
    if (waitMs <= 0) return undefined;
    await waitFor(this.#parts.clock, waitMs, (wake) => this.onUp(wake));
    return this.#open;
  }

  #hear(method: string, params: unknown): void {
    for (const listener of this.#listeners.get(method) ?? []) this.#guard(() => listener(params));
    if (this.#parts.remoteMethods.includes(method)) void this.#callFromMacro(method, params);
  }

  /** The macro that called has ended long since: nobody but the log hears of a failure here. */
  async #callFromMacro(method: string, params: unknown): Promise<void> {
    try {
      await this.#serving.call(method, params, 'macro');
    } catch (thrown) {
      const { message, advice } = asOctopusError(thrown);
      this.#parts.onEvent({ kind: 'trouble', text: `${method} from a macro: ${message}. ${advice}` });
    }
  }

  /** A listener that throws costs neither the connection nor the other listeners. */
  #guard(listener: () => void): void {
    try {
      listener();
    } catch (thrown) {
      this.#parts.onEvent({ kind: 'trouble', text: asOctopusError(thrown).message });
    }
  }
}
