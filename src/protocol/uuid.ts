// Names that follow from a chip's unique id: its CAN uuid in Klipper and Katapult, and what the ROM calls it on USB.

/** The STM32's unique id: 96 bits. Other chips of Klipper's have ids of other lengths; no pair is known to check them by. */
export const CHIP_ID_BYTES = 12;

/** Klipper src/generic/canserial.c (canserial_set_uuid), Katapult src/generic/canserial.c and scripts/flashtool.py. */
const SEED = 0xa162_31a7n;
/** Zilong Tan, fast-hash (2012): fasthash.c, the multiplier of the rounds and that of the mix. */
const MULTIPLIER = 0x8803_55f2_1e6d_1965n;
const MIX_MULTIPLIER = 0x2127_599b_f432_5c37n;
const WORD_BYTES = 8;
const UUID_BYTES = 6;

/**
 * The same in Klipper, in Katapult and in a bridge, because all take it from the chip.
 *
 * @param chipId in the order of memory, which is also that of the USB serial
 * @returns 12 lower-case hex digits, as printer.cfg's `canbus_uuid` has them
 */
export function canUuid(chipId: Uint8Array): string {
  let rest = fasthash64(chipId, SEED);
  let uuid = '';
  for (let n = 0; n < UUID_BYTES; n++, rest >>= 8n) uuid += hex(rest & 0xffn, 2);
  return uuid;
}

/** fasthash64 of Zilong Tan's fast-hash: whole words first, then what is left of the last one. */
export function fasthash64(bytes: Uint8Array, seed: bigint): bigint {
  let hash = seed ^ u64(BigInt(bytes.length) * MULTIPLIER);
  for (let at = 0; at < bytes.length; at += WORD_BYTES) {
    hash = u64((hash ^ mix(littleEndian(bytes.subarray(at, at + WORD_BYTES)))) * MULTIPLIER);
  }
  return mix(hash);
}

function mix(word: bigint): bigint {
  const mixed = u64((word ^ (word >> 23n)) * MIX_MULTIPLIER);
  return mixed ^ (mixed >> 47n);
}

/**
 * What the ROM of a chip may show as its USB serial in DFU mode. `constant`: all chips of this kind show one of these,
 * so it tells nothing; `of-chip`: this chip shows one of these, more than one where nobody knows which form its ROM
 * has; `unknown`: no chip of this kind was seen. None of them is an identity: what a board is follows from its wires.
 */
export interface RomSerial {
  readonly kind: 'constant' | 'of-chip' | 'unknown';
  readonly serials: readonly string[];
}

/** How a kind of chip makes its serial. `sum` adds a constant to the low word; where that is unproven both are named. */
type Form =
  | { readonly constant: readonly string[] }
  | { readonly sum: readonly number[]; readonly tail: 1 | 2 };

const PLAIN: Form = { sum: [0], tail: 1 };
const PLUS_10: Form = { sum: [0x0a], tail: 1 };
/** By the beginning of the chip's name, the first that fits; facts page real-silicon.md section 5, "Serial strings". */
const FORMS: readonly (readonly [RegExp, Form])[] = [
  // TAStm32#71: four chips alike; F723: td-p/853015.
  [/^stm32f(446|72)/, { constant: ['STM32FxSTM32'] }],
  // libopencm3#760; ODrive#82; an Octopus F407 from by-id to DFU to uuid: peers-and-pains.md section 5.
  [/^stm32f(2|405|407)/, PLAIN],
  // qa-community 118169; panda python/dfu.py@0645c57; micropython discussion 15948.
  [/^stm32f(412|413|765|767)/, PLUS_10],
  // Not known which of the two.
  [/^stm32f(401|411|427|429)/, { sum: [0, 0x0a], tail: 1 }],
  // qa-community 144003 (C071), panda (H725); G0B1 by one pair. An H723 showed 3560376F3431, whose UID is not known.
  [/^stm32(g0b1|c071|h723|h725)/, PLAIN],
  // Revisions V and Y: the ROM reads IDCODE in place of the UID (td-p/263112, td-p/221810, td-p/818242).
  [/^stm32h(743|745|750)/, { constant: ['200364500000', '100364500000'] }],
  // libopencm3#760.
  [/^stm32f303/, { sum: [0], tail: 2 }],
  // candleLight_fw#64: the ROM reads the UID as FF.
  [/^stm32f0[47]2/, { constant: ['FFFFFFFEFFFF'] }],
];

/**
 * @param mcu as Klipper names it: `stm32f446xx`
 * @param chipId 12 bytes in the order of memory; not needed where all chips show the same
 */
export function romSerial(mcu: string, chipId: Uint8Array | undefined): RomSerial {
  const [, form] = FORMS.find(([name]) => name.test(mcu)) ?? [];
  if (form === undefined) return { kind: 'unknown', serials: [] };
  if ('constant' in form) return { kind: 'constant', serials: form.constant };
  if (chipId === undefined) return { kind: 'of-chip', serials: [] };
  return {
    kind: 'of-chip',
    serials: [...new Set(form.sum.flatMap((add) => summed(chipId, add, form.tail)))],
  };
}

/** Three words of the UID: the first and the last summed, then the upper half of another. */
function summed(chipId: Uint8Array, add: number, tail: 1 | 2): readonly string[] {
  const word = (n: number) => littleEndian(chipId.subarray(4 * n, 4 * n + 4));
  const sum = word(0) + word(2);
  const added = BigInt(add);
  // One source adds to a byte, another to 16 bits (real-silicon.md section 5): they differ where the addition carries.
  const carried = [
    sum + added,
    (sum & ~0xffffn) | ((sum + added) & 0xffffn),
    (sum & ~0xffn) | ((sum + added) & 0xffn),
  ];
  return carried.map((low) => (hex(low & 0xffff_ffffn, 8) + hex(word(tail) >> 16n, 4)).toUpperCase());
}

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function u64(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}

function hex(value: bigint, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
