// Virtual bench, CAN: the uuid of a chip, fasthash64 over its unique bytes (klipper-katapult-dfu.md section 3(d)): 12 of
// an STM32, 8 of the flash chip beside an RP2040.

/** The constants of fasthash64 as its author published them (Zilong Tan, "fast-hash"); the seed is Klipper's. */
const MULTIPLIER = 0x880355f21e6d1965n;
const MIXER = 0x2127599bf4325c37n;
const SEED = 0xa16231a7n;
const BLOCK_BYTES = 8;
const UNMULTIPLIER = inverse(MULTIPLIER);
const UNMIXER = inverse(MIXER);

export function canUuid(uid: Uint8Array): string {
  let hash = SEED ^ wrap(BigInt(uid.length) * MULTIPLIER);
  for (let at = 0; at < uid.length; at += BLOCK_BYTES) {
    hash = wrap((hash ^ mix(littleEndian(uid.subarray(at, at + BLOCK_BYTES)))) * MULTIPLIER);
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(mix(hash));
  return bytes.subarray(0, 6).toString('hex');
}

/**
 * Unique bytes of a chip that has this uuid: the hash is undone, since each of its steps can be. For a test that wants
 * a certain node.
 */
export function uidWithUuid(uuid: string, length: 8 | 12): Uint8Array {
  const wanted = unmix(littleEndian(Buffer.from(uuid, 'hex')));
  const blank = SEED ^ wrap(BigInt(length) * MULTIPLIER);
  const uid = Buffer.alloc(length, LAST_BYTES);
  // The last four of twelve may be anything; the first eight make up for them.
  const before = length === 8 ? wanted : wrap(wanted * UNMULTIPLIER) ^ mix(littleEndian(uid.subarray(8)));
  uid.writeBigUInt64LE(unmix(wrap(before * UNMULTIPLIER) ^ blank));
  return Uint8Array.from(uid);
}
const LAST_BYTES = 0x20;

function mix(value: bigint): bigint {
  const stirred = wrap((value ^ (value >> 23n)) * MIXER);
  return stirred ^ (stirred >> 47n);
}

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function wrap(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}

function unmix(value: bigint): bigint {
  const stirred = wrap((value ^ (value >> 47n)) * UNMIXER);
  return stirred ^ (stirred >> 23n) ^ (stirred >> 46n);
}

/** Modulo 2^64, of an odd number: each round doubles the bits that are right. */
function inverse(odd: bigint): bigint {
  let found = odd;
  for (let bits = 3; bits < 64; bits *= 2) found = wrap(found * (2n - odd * found));
  return found;
}
