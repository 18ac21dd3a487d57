// virtual silicon: the chips of toolheads, read from `mcus/*.json`.
import { OctopusError } from '../../errors.ts';
import rp2040 from './mcus/rp2040.json' with { type: 'json' };
import f072 from './mcus/stm32f072xb.json' with { type: 'json' };
import g0b1xb from './mcus/stm32g0b1xb.json' with { type: 'json' };
import g0b1xe from './mcus/stm32g0b1xe.json' with { type: 'json' };
import type { ChipSilicon, FlashSector, ToolheadChipName } from './silicon.ts';

const CHIPS: Readonly<Record<ToolheadChipName, ChipSilicon>> = {
  stm32g0b1xb: { ...paged(g0b1xb), name: 'stm32g0b1xb', family: 'g0', programmedAgain: 'refused' },
  stm32g0b1xe: { ...paged(g0b1xe), name: 'stm32g0b1xe', family: 'g0', programmedAgain: 'refused' },
  stm32f072xb: { ...paged(f072), name: 'stm32f072xb', family: 'f0', programmedAgain: 'refused' },
  rp2040: { ...paged(rp2040), name: 'rp2040', family: 'rp2040' },
};

function isChipName(name: string): name is ToolheadChipName {
  return Object.hasOwn(CHIPS, name);
}

export const TOOLHEAD_CHIP_NAMES: readonly ToolheadChipName[] = Object.keys(CHIPS).filter(isChipName);

/** Throws `bad-parameter` for a chip that no toolhead of the bench has. */
export function loadChip(name: string): ChipSilicon {
  if (isChipName(name)) return CHIPS[name];
  throw new OctopusError('bad-parameter', `the virtual bench has no toolhead chip called ${name}`, {
    advice: `Use one of ${TOOLHEAD_CHIP_NAMES.join(', ')}.`,
    place: name,
  });
}

interface Paged {
  readonly flashBase: number;
  readonly pages: { readonly count: number; readonly sizeBytes: number };
}

/** Pages of one size, written out as the sectors that the others have. */
function paged<P extends Paged>({ pages, ...chip }: P): Omit<P, 'pages'> & { sectors: FlashSector[] } {
  const { count, sizeBytes } = pages;
  const sectors = Array.from({ length: count }, (_, index) => ({
    address: chip.flashBase + index * sizeBytes,
    sizeBytes,
  }));
  return { ...chip, sectors };
}
