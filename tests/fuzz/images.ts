// Firmware files to begin with: the small ones that the tests build in the measured shapes, and some of full size.
import { forgeDeployer, forgeKatapult, forgeKlipper, forgeStockBootloader } from '../../src/virtual/forge.ts';
import * as build from '../firmware/build-image.ts';
import { CHIPS, toolheadDeployer, toolheadKatapult, toolheadKlipper } from '../firmware/build-toolhead.ts';

const APP = build.FLASH + 0x8000;

/** Whose exact length follows from their start-up code: a byte less must be seen. */
export const WHOLE_KLIPPERS: readonly Uint8Array[] = [
  build.klipper(),
  build.klipper({ base: build.FLASH, dataBytes: 0x80 }),
  build.klipper({ base: build.FLASH + 0x2_0000, mcu: 'stm32h723xx', namesApp: false }),
  toolheadKlipper(CHIPS.stm32g0b1xx),
  toolheadKlipper(CHIPS.rp2040),
  toolheadKlipper(CHIPS.rp2040, { base: CHIPS.rp2040.flash }),
];

export const SMALL_IMAGES: readonly Uint8Array[] = [
  ...WHOLE_KLIPPERS,
  build.katapult(),
  build.katapult({ transport: 'can' }),
  build.deployer(),
  build.stockBootloader(),
  build.stranger(),
  toolheadKatapult(CHIPS.stm32g0b1xx),
  toolheadKatapult(CHIPS.rp2040),
  toolheadDeployer(CHIPS.rp2040),
];

export const ELF_FILES: readonly Uint8Array[] = [
  build.elf([
    { address: APP, bytes: build.klipper() },
    { address: 0x2000_0000, loadAddress: APP + 0x1000, bytes: build.noise(32) },
    { address: 0, bytes: build.noise(60), allocated: false },
  ]),
  build.elf([{ address: build.FLASH, bytes: build.katapult() }], { withSections: false }),
];

export const LARGE_IMAGES: readonly Uint8Array[] = [
  forgeKlipper({ mcu: 'stm32f446xx' }),
  forgeKlipper({ mcu: 'stm32h723xx', transport: 'bridge' }),
  forgeKlipper({ mcu: 'rp2040', transport: 'can' }),
  forgeKatapult({ mcu: 'stm32f446xx' }),
  forgeDeployer({ mcu: 'stm32f446xx' }),
  forgeStockBootloader({ mcu: 'stm32f446xx' }),
];
