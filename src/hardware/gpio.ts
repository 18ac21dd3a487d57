// Hardware, port GpioHost: the character devices where there are any, sysfs where there are none.
import { existsSync } from 'node:fs';
import type { GpioHost } from '../ports/gpio.ts';
import { CharacterDeviceGpio } from './gpio-chardev.ts';
import { noGpio } from './gpio-errors.ts';
import { SysfsGpio, type OnoffGpio } from './gpio-sysfs.ts';
import { loadLibc } from './libc.ts';
import { loadOptional } from './optional.ts';

export interface GpioRoots {
  readonly dev?: string;
  readonly sys?: string;
  /** `sysfs` or `chardev` where the choice is not to be made by what is there: OCTOPUS_GPIO. */
  readonly force?: string | undefined;
}

/** Chosen anew at each opening: a USB expander comes and goes. */
export function hardwareGpio({ dev = '/dev', sys = '/sys', force }: GpioRoots = {}): GpioHost {
  return {
    open: async (pins) => {
      const libc = await loadLibc();
      const hasDevices = (await CharacterDeviceGpio.devices(dev)).length > 0;
      const isWanted = force === undefined ? hasDevices : force !== 'sysfs';
      if (isWanted && typeof libc !== 'string') return new CharacterDeviceGpio(libc, dev).open(pins);
      if (existsSync(`${sys}/class/gpio`)) return new SysfsGpio(await loadOnoff(), sys).open(pins);
      const why = typeof libc === 'string' ? ` (${libc})` : '';
      throw noGpio([`${dev}/gpiochip*${why}`, `${sys}/class/gpio`]);
    },
  };
}

async function loadOnoff(): Promise<OnoffGpio | string> {
  const loaded = await loadOptional('onoff');
  if (typeof loaded === 'string') return loaded;
  return isOnoff(loaded) ? loaded.Gpio : 'the package onoff has no Gpio';
}

function isOnoff(loaded: object): loaded is { readonly Gpio: OnoffGpio } {
  return 'Gpio' in loaded && typeof loaded.Gpio === 'function';
}
