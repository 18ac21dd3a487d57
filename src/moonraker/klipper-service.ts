// Moonraker, Klipper's service: stopped and started through Moonraker, and seen to be so. Moonraker's "ok" proves
// nothing: with systemd over D-Bus it comes seconds before the process has gone.
import { OctopusError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import { objectAt, objectOrEmpty, textAt } from './answers.ts';
import { waitFor } from './later.ts';
import type { MoonrakerLink } from './link.ts';
import { MoonrakerRefusal, unreachable } from './rpc-errors.ts';

export type PrinterLink = Pick<MoonrakerLink, 'request' | 'notify' | 'onNotification' | 'onUp'>;

interface ServiceLook {
  readonly isRunning: boolean;
  readonly isStopped: boolean;
}

/** systemd kills a service that does not stop after 90 s (DefaultTimeoutStopSec); Klipper needs about 1 s. */
const STOP_TIMEOUT_MS = 100_000;
/** Long enough for a Moonraker that restarts in the middle. */
const START_TIMEOUT_MS = 60_000;
/** supervisorctl answers when the action is over: up to its startsecs and stopwaitsecs, 10 s by default. */
const ACTION_TIMEOUT_MS = 30_000;
/** Moonraker waits 6 s for supervisorctl, which itself waits 10 s (stopwaitsecs) before it kills. */
const FAILED_ACTION_MS = 15_000;
const CONNECTION_WAIT_MS = 10_000;
/** The look beside the events: they are missed while the connection is down. */
const LOOK_MS = 500;

export class KlipperService {
  readonly #link: PrinterLink;
  readonly #clock: Clock;
  readonly #onForeignStart: () => void;
  /** Stopped by us, and not to be started by anybody else. */
  #isHeld = false;
  /** This start by somebody else was told; the next one comes after a stop, ours or theirs. */
  #isTold = false;
  /** A start that Moonraker never heard of: made up for as soon as it is back. */
  #isOwed = false;
  /** Counts our own doings: a look that began before the last of them proves nothing. */
  #doings = 0;

  constructor(link: PrinterLink, clock: Clock, onForeignStart: () => void) {
    this.#link = link;
    this.#clock = clock;
    this.#onForeignStart = onForeignStart;
    link.onNotification('notify_service_state_changed', () => void this.#lookAgain());
    link.onNotification('notify_klippy_ready', () => void this.#lookAgain());
    link.onUp(() => void this.#lookAgain());
    link.onUp(() => void this.#payStart());
  }

  /** May be called again after somebody else started it. Throws `printer-unreachable`. */
  async stop(): Promise<void> {
    // Until it is seen stopped, a running Klipper is nobody's doing.
    this.#isTold = true;
    this.#isOwed = false;
    this.#doings += 1;
    await this.#drive('stop', STOP_TIMEOUT_MS, (look) => look.isStopped);
    this.#doings += 1;
    this.#isHeld = true;
    this.#isTold = false;
  }

  /** Throws `printer-unreachable`; when Moonraker was away all the time, Klipper is started once it is back. */
  async start(): Promise<void> {
    this.#isHeld = false;
    this.#isOwed = false;
    this.#doings += 1;
    const doings = this.#doings;
    try {
      await this.#drive('start', START_TIMEOUT_MS, (look) => look.isRunning);
    } catch (thrown) {
      // A "no" of Moonraker stays one, and a Klipper that does not start is not started for ever.
      const wasAway = !(thrown instanceof OctopusError && thrown.place === UNKNOWN_UNIT);
      this.#isOwed = wasAway && doings === this.#doings;
      throw thrown;
    }
  }

  async #payStart(): Promise<void> {
    if (!this.#isOwed) return;
    // Whoever asked has been told of the failure already.
    await this.start().catch(() => {});
  }

  async #drive(
    action: 'stop' | 'start',
    timeoutMs: number,
    isReached: (look: ServiceLook) => boolean,
  ): Promise<void> {
    const until = this.#clock.now() + timeoutMs;
    const changes = new Changes(this.#link, this.#clock);
    let isAsked = false;
    let trouble: unknown;
    let giveUpAt = until;
    try {
      for (;;) {
        try {
          const unit = await this.#unit();
          if (!isAsked) await this.#ask(`machine.services.${action}`, { service: unit }, ACTION_TIMEOUT_MS);
          isAsked = true;
          if (isReached(await this.#look(unit))) return;
        } catch (thrown) {
          trouble = thrown instanceof MoonrakerRefusal ? refused(action, thrown) : thrown;
          if (thrown instanceof MoonrakerRefusal) {
            // "No" is final. A failed command is not: it may have outlasted Moonraker's patience and still succeed.
            if (isAsked || thrown.code < 500) throw trouble;
            isAsked = true;
            giveUpAt = Math.min(until, this.#clock.now() + FAILED_ACTION_MS);
          }
          if (thrown instanceof OctopusError && thrown.place === UNKNOWN_UNIT) throw thrown;
        }
        const leftMs = giveUpAt - this.#clock.now();
        if (leftMs <= 0) throw trouble ?? late(action, timeoutMs);
        await changes.next(Math.min(LOOK_MS, leftMs));
      }
    } finally {
      changes.stop();
    }
  }

  /** The systemd unit or supervisor program of this instance: `klipper`, `klipper-1`. */
  async #unit(): Promise<string> {
    const info = objectAt(await this.#ask('machine.system_info'), 'system_info');
    const unit = textAt(objectAt(info, 'instance_ids'), 'klipper');
    if (unit in objectOrEmpty(info, 'service_state')) return unit;
    throw new OctopusError('printer-unreachable', `Moonraker does not know the service ${unit}`, {
      place: UNKNOWN_UNIT,
      advice: SERVICE_ADVICE,
    });
  }

  async #look(unit: string): Promise<ServiceLook> {
    const info = objectAt(await this.#ask('machine.system_info'), 'system_info');
    const state = objectAt(info, 'service_state', unit);
    const [active, sub] = [textAt(state, 'active_state'), textAt(state, 'sub_state')];
    const isConnected = objectAt(await this.#ask('server.info'))['klippy_connected'] !== false;
    // Moonraker calls a supervisor program inactive that is just being started (moonraker/components/machine.py).
    const isComing = sub === 'starting' || sub === 'backoff' || sub === 'auto-restart';
    return {
      isRunning: active === 'active',
      // A Klippy that is still connected runs, whatever its service says.
      isStopped: (active === 'inactive' || active === 'failed') && !isComing && !isConnected,
    };
  }

  #ask(method: string, params?: object, timeoutMs = CONNECTION_WAIT_MS): Promise<unknown> {
    return this.#link.request(method, params, { timeoutMs, waitMs: CONNECTION_WAIT_MS });
  }

  /** Users, power devices with `bound_services` and update_manager can start Klipper; nothing in Moonraker stops them. */
  async #lookAgain(): Promise<void> {
    if (!this.#isHeld) return;
    const doings = this.#doings;
    let isStopped: boolean;
    try {
      ({ isStopped } = await this.#look(await this.#unit()));
    } catch {
      // Not known now: the next event or the next connection looks again.
      return;
    }
    if (doings !== this.#doings) return;
    const isNews = !isStopped && !this.#isTold;
    this.#isTold = !isStopped;
    if (isNews) this.#onForeignStart();
  }
}

const UNKNOWN_UNIT = 'machine.services';
const SERVICE_ADVICE =
  'Moonraker controls services only with a [machine] provider other than "none", and only units that it found when ' +
  'it started and that moonraker.asvc allows: check both, then restart Moonraker.';

function refused(action: string, refusal: MoonrakerRefusal): OctopusError {
  const isForbidden = /not allowed|not installed/i.test(refusal.message);
  return new OctopusError(
    'printer-unreachable',
    `Moonraker refuses to ${action} Klipper: ${refusal.message}`,
    {
      place: UNKNOWN_UNIT,
      advice: isForbidden ? SERVICE_ADVICE : "See Moonraker's log for the reason.",
      cause: refusal,
    },
  );
}

function late(action: 'stop' | 'start', timeoutMs: number): OctopusError {
  const state = action === 'stop' ? 'has not stopped' : 'does not run';
  return unreachable(`Klipper's service ${state} after ${timeoutMs / 1000} s`, UNKNOWN_UNIT);
}

const CHANGES = [
  'notify_service_state_changed',
  'notify_klippy_ready',
  'notify_klippy_shutdown',
  'notify_klippy_disconnected',
];

/** News (about Klipper unless told otherwise), heard also while nobody waits for them. */
export class Changes {
  readonly #clock: Clock;
  readonly #off: readonly (() => void)[];
  #isNew = false;
  #wake: () => void = () => {};

  constructor(link: PrinterLink, clock: Clock, names: readonly string[] = CHANGES) {
    this.#clock = clock;
    const news = () => {
      this.#isNew = true;
      this.#wake();
    };
    this.#off = [link.onUp(news), ...names.map((name) => link.onNotification(name, news))];
  }

  /** Resolves at the next change since the last call, after `ms` at the latest. */
  async next(ms: number): Promise<void> {
    if (!this.#isNew) {
      await waitFor(this.#clock, ms, (wake) => {
        this.#wake = wake;
        return () => (this.#wake = () => {});
      });
    }
    this.#isNew = false;
  }

  stop(): void {
    for (const off of this.#off) off();
  }
}
