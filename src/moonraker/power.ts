// Moonraker, its power devices: one is switched and seen to be so. Moonraker asks the device itself for its state, so an
// answer to `get_device` is worth more than the "ok" of the command.
import { OctopusError, nearest } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import { objectAt, textAt } from './answers.ts';
import { Changes, type PrinterLink } from './klipper-service.ts';
import { MoonrakerRefusal, unreachable } from './rpc-errors.ts';

export type PowerState = 'on' | 'off';

/** A relay or a socket in the network needs about a second; Moonraker gives its HTTP requests 20 s at most. */
const SWITCH_TIMEOUT_MS = 30_000;
const CONNECTION_WAIT_MS = 5000;
/** The look beside the event. */
const LOOK_MS = 500;
const PLACE = 'power_device';

/** Resolves when Moonraker has seen `device` in `state`. Throws `printer-unreachable` with the cure. */
export async function switchPower(
  link: PrinterLink,
  clock: Clock,
  device: string,
  state: PowerState,
): Promise<void> {
  await mustExist(link, device);
  const until = clock.now() + SWITCH_TIMEOUT_MS;
  const changes = new Changes(link, clock, ['notify_power_changed']);
  let isAsked = false;
  let seen = 'nothing yet';
  let trouble: unknown;
  try {
    for (;;) {
      try {
        if (!isAsked) await ask(link, 'machine.device_power.post_device', { device, action: state });
        isAsked = true;
        seen = textAt(objectAt(await ask(link, 'machine.device_power.get_device', { device })), device);
        if (seen === state) return;
        trouble = undefined;
      } catch (thrown) {
        if (thrown instanceof MoonrakerRefusal) throw refused(device, state, thrown);
        // A Moonraker that restarts in the middle is back within a second.
        trouble = thrown;
      }
      const leftMs = until - clock.now();
      if (leftMs <= 0) throw trouble ?? late(device, state, seen);
      await changes.next(Math.min(LOOK_MS, leftMs));
    }
  } finally {
    changes.stop();
  }
}

async function mustExist(link: PrinterLink, device: string): Promise<void> {
  const names = await deviceNames(link);
  if (names.includes(device)) return;
  const meant = nearest(device, names);
  throw new OctopusError('printer-unreachable', `Moonraker has no power device "${device}"`, {
    place: PLACE,
    advice:
      names.length === 0
        ? `Add [power ${device}] to moonraker.conf, or take power_device out of host.conf.`
        : `Correct power_device in host.conf${meant === undefined ? '' : `: did you mean ${meant}?`} Moonraker has: ${names.join(', ')}.`,
  });
}

async function deviceNames(link: PrinterLink): Promise<readonly string[]> {
  try {
    const { devices } = objectAt(await ask(link, 'machine.device_power.devices'));
    if (!Array.isArray(devices)) throw unreachable('Moonraker answers no list of power devices', PLACE);
    return devices.map((one) => textAt(objectAt(one), 'device'));
  } catch (thrown) {
    if (!(thrown instanceof MoonrakerRefusal)) throw thrown;
    // Without any [power] section Moonraker does not load the component, and does not know the method.
    if (thrown.code === METHOD_NOT_FOUND) return [];
    throw new OctopusError(
      'printer-unreachable',
      `Moonraker does not tell its power devices: ${thrown.message}`,
      { place: PLACE, advice: LOG_ADVICE, cause: thrown },
    );
  }
}

const METHOD_NOT_FOUND = -32601;
const LOG_ADVICE = "See Moonraker's log for the reason.";

function refused(device: string, state: PowerState, refusal: MoonrakerRefusal): OctopusError {
  const isLocked = /while printing/i.test(refusal.message);
  return new OctopusError(
    'printer-unreachable',
    `Moonraker does not switch the power device "${device}" ${state}: ${refusal.message}`,
    {
      place: PLACE,
      advice: isLocked
        ? `Wait for the end of the print: [power ${device}] is locked_while_printing.`
        : LOG_ADVICE,
      cause: refusal,
    },
  );
}

function late(device: string, state: PowerState, seen: string): OctopusError {
  return new OctopusError(
    'printer-unreachable',
    `the power device "${device}" is not ${state} after ${SWITCH_TIMEOUT_MS / 1000} s: Moonraker sees "${seen}"`,
    {
      place: PLACE,
      advice: `Switch it in Mainsail: if that fails too, the device cannot be reached; one of type klipper_device cannot be used here, it needs a running Klipper.`,
    },
  );
}

function ask(link: PrinterLink, method: string, params?: object): Promise<unknown> {
  return link.request(method, params, { timeoutMs: SWITCH_TIMEOUT_MS, waitMs: CONNECTION_WAIT_MS });
}
