// Moonraker, port Printer: Klipper's service and state as one Moonraker instance tells them.
import { OctopusError, asOctopusError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import type {
  KlipperState,
  Printer,
  PrinterCanNode,
  PrinterReading,
  PrinterVerdict,
} from '../ports/printer.ts';
import type { Unsubscribe } from '../ports/usb.ts';
import { objectAt, objectOrEmpty } from './answers.ts';
import { canSections, withVersions } from './can-nodes.ts';
import { Changes, KlipperService, type PrinterLink } from './klipper-service.ts';
import { switchPower, type PowerState } from './power.ts';
import { GATE_OBJECTS, availableHeaters, klipperState, notReadyReading, readyReading } from './reading.ts';
import { MoonrakerRefusal } from './rpc-errors.ts';

export interface MoonrakerPrinterParts {
  readonly link: PrinterLink;
  readonly clock: Clock;
  /** The board's object in Klipper: `mcu`, or `mcu NAME` for a second board. */
  readonly mcu: string;
}

/** A Moonraker that restarts is back after about 1 s. */
const CONNECTION_WAIT_MS = 5000;
/** There is no event for a Klipper that starts into its error state. */
const LOOK_MS = 500;

export class MoonrakerPrinter implements Printer {
  readonly #parts: MoonrakerPrinterParts;
  readonly #service: KlipperService;
  readonly #foreignStartListeners = new Set<() => void>();

  constructor(parts: MoonrakerPrinterParts) {
    this.#parts = parts;
    this.#service = new KlipperService(parts.link, parts.clock, () => {
      for (const listener of this.#foreignStartListeners) listener();
    });
  }

  /** Throws `printer-unreachable`, also for answers that make no sense: the gate fails closed. */
  async read(): Promise<PrinterReading> {
    try {
      const state = await this.#state();
      return state === 'ready' ? await this.#readReady() : await this.#readNotReady(state);
    } catch (thrown) {
      throw asUnreachable(thrown);
    }
  }

  stopKlipper(): Promise<void> {
    return this.#service.stop();
  }

  startKlipper(): Promise<void> {
    return this.#service.start();
  }

  onForeignStart(listener: () => void): Unsubscribe {
    this.#foreignStartListeners.add(listener);
    return () => void this.#foreignStartListeners.delete(listener);
  }

  setPower(device: string, state: PowerState): Promise<void> {
    return switchPower(this.#parts.link, this.#parts.clock, device, state);
  }

  async canNodes(): Promise<readonly PrinterCanNode[]> {
    try {
      const sections = canSections(await this.#query({ configfile: ['config'] }));
      if (sections.length === 0) return [];
      const versions = Object.fromEntries(sections.map(({ section }) => [section, ['mcu_version']]));
      return withVersions(sections, await this.#query(versions));
    } catch (thrown) {
      if (thrown instanceof MoonrakerRefusal && thrown.isKlipperDown) return [];
      throw asUnreachable(thrown);
    }
  }

  /**
   * Waits for `ready`, or for an error or shutdown that Klipper ends its start with; FIRMWARE_RESTART is not sent.
   * Throws `printer-unreachable` when Moonraker itself was not there at the end.
   */
  async verdict(timeoutMs: number): Promise<PrinterVerdict> {
    const { clock, link } = this.#parts;
    const until = clock.now() + timeoutMs;
    const changes = new Changes(link, clock);
    try {
      for (;;) {
        const isLast = clock.now() >= until;
        const verdict = await this.#judge(isLast);
        if (verdict !== undefined) return verdict;
        await changes.next(Math.max(0, Math.min(LOOK_MS, until - clock.now())));
      }
    } finally {
      changes.stop();
    }
  }

  /** Undefined while it may still change, which it may not when `isLast`. */
  async #judge(isLast: boolean): Promise<PrinterVerdict | undefined> {
    try {
      const state = await this.#state();
      if (state === 'ready') return await this.#judgeReady();
      if (state === 'error' || state === 'shutdown' || isLast) return await this.#judgeNotReady(state);
    } catch (thrown) {
      if (isLast) throw asUnreachable(thrown);
    }
    return undefined;
  }

  async #judgeReady(): Promise<PrinterVerdict> {
    const { mcu } = this.#parts;
    const status = await this.#query({ [mcu]: ['mcu_version'] });
    const version = objectOrEmpty(status, mcu)['mcu_version'];
    if (typeof version === 'string') return { state: 'ready', version };
    return { state: 'not_ready', reason: `Klipper is ready and has no [${mcu}] in its printer.cfg` };
  }

  async #judgeNotReady(state: KlipperState): Promise<PrinterVerdict> {
    if (state === 'disconnected') return { state: 'not_ready', reason: "Klipper's service is not running" };
    const message = objectAt(await this.#ask('printer.info'))['state_message'];
    const line = typeof message === 'string' ? message.trim().split('\n')[0]?.trim() : undefined;
    return {
      state: 'not_ready',
      reason: line === undefined || line === '' ? `Klipper is in state "${state}"` : line,
    };
  }

  async #state(): Promise<KlipperState> {
    const info = objectAt(await this.#ask('server.info'));
    return info['klippy_connected'] === true ? klipperState(info['klippy_state']) : 'disconnected';
  }

  async #readReady(): Promise<PrinterReading> {
    try {
      const heaters = availableHeaters(await this.#query({ heaters: ['available_heaters'] }));
      const wanted = Object.fromEntries(heaters.map((name) => [name, ['target', 'temperature']]));
      const status = await this.#query({ ...GATE_OBJECTS, ...wanted });
      // Klipper's own word, of the same moment as the rest: Moonraker may not know yet.
      const state = klipperState(objectAt(status, 'webhooks')['state']);
      return state === 'ready' ? readyReading(status, heaters) : await this.#readNotReady(state);
    } catch (thrown) {
      if (thrown instanceof MoonrakerRefusal && thrown.isKlipperDown)
        return this.#readNotReady('disconnected');
      throw thrown;
    }
  }

  async #readNotReady(state: KlipperState): Promise<PrinterReading> {
    return notReadyReading(state, objectAt(await this.#ask('server.temperature_store')));
  }

  async #query(objects: object) {
    return objectAt(await this.#ask('printer.objects.query', { objects }), 'status');
  }

  #ask(method: string, params?: object): Promise<unknown> {
    return this.#parts.link.request(method, params, { waitMs: CONNECTION_WAIT_MS });
  }
}

function asUnreachable(thrown: unknown): OctopusError {
  if (!(thrown instanceof MoonrakerRefusal)) return asOctopusError(thrown);
  return new OctopusError(
    'printer-unreachable',
    `Moonraker refuses to tell about the printer: ${thrown.message}`,
    {
      place: 'Moonraker',
      advice: "See Moonraker's log for the reason.",
      cause: thrown,
    },
  );
}
