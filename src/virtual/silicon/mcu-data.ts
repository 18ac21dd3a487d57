// virtual silicon: the chips of the Octopus boards, read from `mcus/*.json`.
import { OctopusError } from '../../errors.ts';
import f407 from './mcus/stm32f407xx.json' with { type: 'json' };
import f429 from './mcus/stm32f429xx.json' with { type: 'json' };
import f446 from './mcus/stm32f446xx.json' with { type: 'json' };
import h723 from './mcus/stm32h723xx.json' with { type: 'json' };
import type { McuName, McuSilicon } from './silicon.ts';

const MCUS: Readonly<Record<McuName, McuSilicon>> = {
  stm32f446xx: { ...f446, name: 'stm32f446xx', family: 'f4' },
  stm32f429xx: { ...f429, name: 'stm32f429xx', family: 'f4' },
  stm32f407xx: { ...f407, name: 'stm32f407xx', family: 'f4' },
  stm32h723xx: { ...h723, name: 'stm32h723xx', family: 'h7' },
};

function isMcuName(name: string): name is McuName {
  return Object.hasOwn(MCUS, name);
}

export const MCU_NAMES: readonly McuName[] = Object.keys(MCUS).filter(isMcuName);

/** The chip `name` in Klipper's spelling (`stm32f446xx`). Throws `bad-parameter` for one the bench has not. */
export function loadMcu(name: string): McuSilicon {
  if (isMcuName(name)) return MCUS[name];
  throw new OctopusError('bad-parameter', `the virtual bench has no chip called ${name}`, {
    advice: `Use one of ${MCU_NAMES.join(', ')}.`,
    place: name,
  });
}
