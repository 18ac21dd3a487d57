// Virtual bench, firmware: where real builds have what (klipper-katapult-dfu.md sections 1 and 2 for the Octopus; for
// toolheads the project's own builds of Klipper v0.13.0-730-g84104bbbd and Katapult v0.0.1-109-g902f335, gcc 12.2).

import type { KlipperTransport } from './forge-dictionary.ts';
import type { ForgeMcu } from './forge-parts.ts';

/** Offsets are from the vectors: an RP2040's boot2, where there is one, lies before them and is not counted. */
export interface KlipperShape {
  readonly sizes: Readonly<Record<KlipperTransport, readonly [behindBootloader: number, bare: number]>>;
  readonly stackTop: number;
  readonly vectors: number;
  readonly reset: readonly [behindBootloader: number, bare: number];
  readonly dictionaryAt: Readonly<Record<KlipperTransport, number>>;
  /** Two bytes behind the first stage's `bx r2`: a nop, or Cortex-M0's `bx lr` of the function after it. */
  readonly behindFirstStage: readonly [number, number];
  /** Code and constants run in RAM: where in the image what is copied begins, and to which address it goes. */
  readonly copied?: { readonly from: number; readonly to: number };
}

/** The dictionary lies at 0x8b00 to 0x9b50; CAN code pushes it up. */
const F4_DICTIONARY = { usb: 0x8b64, bridge: 0x9350, can: 0x8b00 } as const;

const F4 = {
  stackTop: 0x2002_0000,
  vectors: 98,
  // As built for F446: 0x0800f009 and 0x08006ff5.
  reset: [0x7008, 0x6ff4],
  dictionaryAt: F4_DICTIONARY,
  behindFirstStage: [0x00, 0xbf],
} as const satisfies Omit<KlipperShape, 'sizes'>;

export const KLIPPER_SHAPES: Readonly<Record<ForgeMcu, KlipperShape>> = {
  stm32f446xx: { ...F4, sizes: { usb: [44516, 44388], bridge: [46728, 46616], can: [43176, 43048] } },
  stm32f429xx: { ...F4, sizes: { usb: [44528, 44416], bridge: [46756, 46628], can: [43200, 43056] } },
  stm32f407xx: { ...F4, sizes: { usb: [44444, 44332], bridge: [46676, 46548], can: [43120, 42976] } },
  // 0x080276f5
  stm32h723xx: {
    ...F4,
    reset: [0x76f4, 0x7654],
    sizes: { usb: [44608, 44448], bridge: [46948, 46772], can: [43248, 43072] },
  },
  stm32g0b1xx: {
    sizes: { usb: [45024, 44920], bridge: [47628, 47524], can: [44712, 44524] },
    stackTop: 0x2002_4000,
    vectors: 38,
    reset: [0x7708, 0x76c4],
    dictionaryAt: { usb: 0x946c, bridge: 0x9d80, can: 0x92c4 },
    behindFirstStage: [0x70, 0x47],
  },
  stm32f072xb: {
    sizes: { usb: [44272, 44132], bridge: [46684, 46552], can: [43768, 43532] },
    stackTop: 0x2000_4000,
    vectors: 48,
    reset: [0x760c, 0x75b4],
    dictionaryAt: { usb: 0x9348, bridge: 0x9ba4, can: 0x90e8 },
    behindFirstStage: [0x70, 0x47],
  },
  // Only vectors and the two start-up stages run from flash; the handlers are in RAM.
  rp2040: {
    sizes: { usb: [44180, 44024], bridge: [49948, 49824], can: [46736, 46612] },
    stackTop: 0x2004_2000,
    vectors: 24,
    reset: [0x60, 0x60],
    dictionaryAt: { usb: 0x9310, bridge: 0xa5a4, can: 0x9a28 },
    behindFirstStage: [0x70, 0x47],
    copied: { from: 0x290, to: 0x2000_0060 },
  },
};

export interface KatapultShape {
  /** The reset handler. */
  readonly usb: number;
  readonly can: number;
  readonly sizes: readonly [usb: number, can: number];
  /** The request word lies there: the stack ends below it. */
  readonly stackTop: number;
  /** Stage two, whose literals begin with the request word's address, the bypass word and the launch address. */
  readonly stageTwo?: number;
  readonly deployerSizes: readonly [usb: number, can: number];
}

const F4_KATAPULT = { usb: 0x158, can: 0xa0, stackTop: 0x2001_fff8 } as const;

export const KATAPULT_SHAPES: Readonly<Record<ForgeMcu, KatapultShape>> = {
  stm32f446xx: { ...F4_KATAPULT, sizes: [5148, 4152], deployerSizes: [6684, 6684] },
  stm32f429xx: { ...F4_KATAPULT, sizes: [5052, 4104], deployerSizes: [6484, 6484] },
  stm32f407xx: { ...F4_KATAPULT, sizes: [5052, 4104], deployerSizes: [6484, 6484] },
  stm32h723xx: {
    usb: 0x180,
    can: 0x98,
    stackTop: 0x2401_fff8,
    sizes: [5756, 4632],
    deployerSizes: [7672, 7672],
  },
  stm32g0b1xx: {
    usb: 0x70,
    can: 0xa0,
    stackTop: 0x2002_3ff8,
    sizes: [4552, 4304],
    stageTwo: 0x434,
    deployerSizes: [5848, 5600],
  },
  stm32f072xb: {
    usb: 0xc8,
    can: 0xc8,
    stackTop: 0x2000_3ff8,
    sizes: [4560, 4196],
    stageTwo: 0x404,
    deployerSizes: [5864, 5496],
  },
  // RAM's end less 1024 (src/rp2040/rpxxxx_link.lds.S).
  rp2040: {
    usb: 0x60,
    can: 0x68,
    stackTop: 0x2004_1c00,
    sizes: [4912, 7236],
    stageTwo: 0x6c,
    deployerSizes: [6684, 9004],
  },
};

/** The word that sends Katapult straight to the application (klipper-katapult-dfu.md section 2, "Magics"). */
export const START_APP_WORDS = [0xa9a8_243d, 0x7b06_ec45] as const;
