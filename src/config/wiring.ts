// Configuration: what both files together say about each board's lines and power.
import { suggestion } from './complaint.ts';
import type { HostSettings } from './host-settings.ts';
import { DEFAULT_PINS, NO_PIN, isSamePin, type PinKeys, type Pins } from './pins.ts';
import type { SectionReader } from './section-reader.ts';
import type { BoardSettings } from './settings.ts';

export interface Wiring {
  /** Undefined: no wires, the board enters its bootloader by other routes. */
  readonly pins: Pins | undefined;
  readonly powerDevice: string | undefined;
}

/**
 * By the boards' names. host.conf has the say over pins: through Moonraker anybody may write octopus-flasher.conf, and
 * a wrong line there would drive whatever hangs on that pin of the host; it may only repeat what holds anyway.
 * Throws `bad-config` when the files disagree, name different boards, or give one pin to two boards.
 */
export function wiringOf(
  boards: readonly BoardSettings[],
  host: HostSettings,
  isToolhead: (model: string) => boolean = () => false,
): ReadonlyMap<string, Wiring> {
  const names = boards.map(({ name }) => name);
  for (const { name, reader } of host.boards.values()) {
    if (names.includes(name)) continue;
    const advice = suggestion(name, names, 'boards of octopus-flasher.conf');
    throw reader.refuse('', 'is no board of octopus-flasher.conf', advice);
  }
  const wiring = new Map<string, Wiring>();
  for (const board of boards) {
    const pins = isToolhead(board.board) ? noPins(board, host) : agreedPins(board, host);
    if (pins !== undefined) requireFree(board, pins, wiring, host);
    wiring.set(board.name, {
      pins,
      powerDevice: host.boards.get(board.name)?.powerDevice ?? host.powerDevice,
    });
  }
  return wiring;
}

/** A toolhead sits at the other end of a CAN bus: its pins are nobody's, and the default ones are a mainboard's. */
function noPins({ name, pins, reader }: BoardSettings, host: HostSettings): undefined {
  const inHost = host.boards.get(name);
  const given = [pins, inHost?.pins ?? {}].some(({ boot0, nrst }: Partial<PinKeys>) =>
    [boot0, nrst].some((pin) => pin !== undefined && pin !== NO_PIN),
  );
  if (!given) return undefined;
  throw (inHost?.reader ?? reader).refuse(
    'boot0_pin',
    'is a toolhead on a CAN bus, and has no wires to this host',
    'Delete boot0_pin and reset_pin: it is reached over its bus.',
  );
}

function agreedPins({ name, pins: wished, reader }: BoardSettings, host: HostSettings): Pins | undefined {
  const inHost = host.boards.get(name);
  const boot0 = inHost?.pins.boot0 ?? DEFAULT_PINS.boot0;
  const nrst = inHost?.pins.nrst ?? DEFAULT_PINS.nrst;
  const owner = inHost?.reader ?? reader;
  if ((boot0 === NO_PIN) !== (nrst === NO_PIN) || isSamePin(boot0, nrst) !== (boot0 === NO_PIN)) {
    const message = `has boot0_pin ${boot0} and reset_pin ${nrst}`;
    throw owner.refuse('boot0_pin', message, 'Give two different pins, or none for both.');
  }
  requireAgreement(reader, 'boot0_pin', wished.boot0, boot0);
  requireAgreement(reader, 'reset_pin', wished.nrst, nrst);
  return boot0 === NO_PIN ? undefined : { boot0, nrst };
}

function requireAgreement(
  settings: SectionReader,
  key: string,
  wished: string | undefined,
  held: string,
): void {
  if (wished === undefined || isSamePin(wished, held)) return;
  throw settings.refuse(
    key,
    `${key} is ${wished}, but host.conf says ${held}`,
    `On the host, write "${key}: ${wished}" under [${settings.shown}] in host.conf; it alone may change the lines.`,
  );
}

/** A pin of two boards would reset one while the other is written. */
function requireFree(
  { name, reader }: BoardSettings,
  pins: Pins,
  taken: ReadonlyMap<string, Wiring>,
  host: HostSettings,
): void {
  const mine = [pins.boot0, pins.nrst];
  for (const [other, { pins: theirs }] of taken) {
    if (theirs === undefined) continue;
    const shared = mine.find((pin) => isSamePin(pin, theirs.boot0) || isSamePin(pin, theirs.nrst));
    if (shared === undefined) continue;
    throw (host.boards.get(name)?.reader ?? reader).refuse(
      shared === pins.boot0 ? 'boot0_pin' : 'reset_pin',
      `uses ${shared}, and so does [board ${other}]`,
      `Give [board ${name}] its own boot0_pin and reset_pin in host.conf, or none for both if it has no wires.`,
    );
  }
}
