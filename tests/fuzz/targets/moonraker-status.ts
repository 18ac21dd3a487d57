// Fuzz: what Moonraker and Klipper say of the printer. It decides whether a job may begin, so what makes no sense is refused,
// and what is read stands there: nothing is guessed.
import { canSections, withVersions } from '../../../src/moonraker/can-nodes.ts';
import { objectAt, type Answer } from '../../../src/moonraker/answers.ts';
import {
  availableHeaters,
  klipperState,
  notReadyReading,
  readyReading,
} from '../../../src/moonraker/reading.ts';
import type { PrinterReading } from '../../../src/ports/printer.ts';
import { isObject, show } from '../busy-desk.ts';
import { mutateJson, type Json } from '../json.ts';
import { holds, refusalCode, target, type Fate } from '../target.ts';

interface Said {
  readonly kind: 'ready' | 'not ready' | 'can';
  readonly said: Json;
}

const READY: Json = {
  status: {
    webhooks: { state: 'ready', state_message: 'Printer is ready' },
    heaters: { available_heaters: ['extruder', 'heater_bed', 'heater_generic chamber'] },
    print_stats: { state: 'standby' },
    idle_timeout: { state: 'Idle' },
    pause_resume: { is_paused: false },
    virtual_sdcard: { is_active: false },
    toolhead: { homed_axes: 'xyz' },
    extruder: { target: 0, temperature: 24.13 },
    heater_bed: { target: 0, temperature: 23.9 },
    'heater_generic chamber': { target: 0, temperature: 22 },
  },
};
const STORE: Json = {
  extruder: { temperatures: [24.1, 24.2, 24.2, 24.2], targets: [0, 0, 0, 0], powers: [0, 0, 0, 0] },
  heater_bed: { temperatures: [60, 60, 59.9, 59.9] },
  'temperature_sensor mcu': { temperatures: [41] },
};
const CONFIG: Json = {
  status: {
    configfile: {
      config: {
        mcu: { serial: '/dev/serial/by-id/usb-Klipper_stm32f446xx_1A-if00' },
        'mcu ebb': { canbus_uuid: '0A1B2C3D4E5F', canbus_interface: 'can1 ' },
        'mcu two': { canbus_uuid: ' 001122334455' },
        mcusomething: { canbus_uuid: '001122334455' },
      },
    },
    'mcu ebb': { mcu_version: 'v0.12.0' },
  },
};

export const moonrakerStatus = target<Said>({
  name: 'moonraker-status',
  show: ({ said }) => Buffer.from(JSON.stringify(said)),
  input: (random) => {
    const kind = random.pick(['ready', 'ready', 'not ready', 'can'] as const);
    const said = { ready: READY, 'not ready': STORE, can: CONFIG }[kind];
    // As it came over the wire.
    return { kind, said: JSON.parse(JSON.stringify(mutateJson(random, said))) as Json };
  },
  check: ({ kind, said }): Fate => {
    try {
      if (kind === 'can') return checkNodes(objectAt(said, 'status'));
      if (kind === 'ready') return checkReady(objectAt(said, 'status'));
      checkHeaters(notReadyReading(klipperState('shutdown'), objectAt(said)), objectAt(said));
      return 'read';
    } catch (error) {
      return refusalCode(error, ['printer-unreachable']);
    }
  },
  fates: ['read', 'nodes', 'printer-unreachable'],
});

function checkReady(status: Answer): Fate {
  const heaters = availableHeaters(status);
  const reading = readyReading(status, heaters);
  const { print_stats: print, idle_timeout: idle, virtual_sdcard: card, pause_resume: pause } = status;
  const isPrinting = at(print, 'state') === 'printing' || at(card, 'is_active') === true;
  holds(reading.printing === isPrinting, 'printing is not what stands there');
  holds(reading.moving === (at(idle, 'state') === 'Printing'), 'moving is not what stands there');
  holds(
    reading.paused === (at(print, 'state') === 'paused' || at(pause, 'is_paused') === true),
    'nor is paused',
  );
  holds(reading.heaters.length === heaters.length, `${reading.heaters.length} of ${heaters.length} heaters`);
  for (const { name, targetC, temperatureC } of reading.heaters) {
    holds(
      targetC === at(status[name], 'target') && temperatureC === at(status[name], 'temperature'),
      `${name} is another`,
    );
    holds(Number.isFinite(targetC) && Number.isFinite(temperatureC), `${name} is at ${temperatureC}`);
  }
  return 'read';
}

/** Of the heaters' histories only the last words count, and their age is known or not, but never negative. */
function checkHeaters({ heaters, temperatureAgeMs = 0 }: PrinterReading, store: Answer): void {
  holds(
    temperatureAgeMs >= 0 && Number.isFinite(temperatureAgeMs),
    `temperatures of ${temperatureAgeMs} ms ago`,
  );
  for (const { name, targetC, temperatureC } of heaters) {
    const history = at(store[name], 'temperatures');
    holds(Array.isArray(history) && history.at(-1) === temperatureC, `${name} is at ${temperatureC}`);
    holds(targetC === 0 && Number.isFinite(temperatureC), `${name} is at ${temperatureC}`);
  }
}

function checkNodes(status: Answer): Fate {
  const nodes = withVersions(canSections(status), status);
  for (const { section, uuid, interfaceName, version } of nodes) {
    holds(section === 'mcu' || section.startsWith('mcu '), `the section ${section}`);
    const own = at(at(at(status, 'configfile'), 'config'), section);
    holds(uuid === String(at(own, 'canbus_uuid')).trim().toLowerCase(), `${section} is ${uuid}`);
    holds(typeof interfaceName === 'string', `${section} is on ${show(interfaceName)}`);
    holds(version === null || version === at(status[section], 'mcu_version'), `${section} runs ${version}`);
  }
  return 'nodes';
}

function at(value: unknown, key: string): unknown {
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}
