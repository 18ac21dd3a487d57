// virtual silicon: what cells hold when an erase or a program did not end: the same garbage for the same seed.

/** Numbers in [0, 1), repeatable. */
export type Random = () => number;

/** mulberry32 by Tommy Ettinger, public domain: 32 bits of state are plenty for garbage. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

function randomByte(random: Random): number {
  return Math.floor(random() * 256);
}

/**
 * A sector whose erase was cut short. No data sheet says what it reads as, only that it is undefined, so
 * it is a mix that fools every quick look: old bytes, blank bytes, half-lifted bits and noise.
 */
export function halfErased(old: Uint8Array, random: Random): Uint8Array {
  return old.map((byte) => {
    const kind = random();
    if (kind < 0.25) return byte;
    if (kind < 0.7) return 0xff;
    return kind < 0.95 ? byte | randomByte(random) : randomByte(random);
  });
}

/** Cells under program at the cut: some of the wanted zeros are there, some are not. */
export function halfProgrammed(old: Uint8Array, wanted: Uint8Array, random: Random): Uint8Array {
  return old.map((byte, i) => byte & ((wanted[i] ?? 0xff) | randomByte(random)));
}

/** A word whose ECC no longer fits: "corrected" into something neither write asked for. */
export function brokenWord(old: Uint8Array, wanted: Uint8Array, random: Random): Uint8Array {
  return old.map((byte, i) => (byte & (wanted[i] ?? 0xff)) ^ (1 << Math.floor(random() * 8)));
}
