// Virtual bench, CAN: the uuid of a chip, fasthash64 over its 12 unique bytes (klipper-katapult-dfu.md section 2(d)).

/** The constants of fasthash64 as its author published them (Zilong Tan, "fast-hash"); the seed is Klipper's. */
const MULTIPLIER = 0x880355f21e6d1965n;
const MIXER = 0x2127599bf4325c37n;
const SEED = 0xa16231a7n;
const BLOCK_BYTES = 8;

export function canUuid(uid: Uint8Array): string {
  let hash = SEED ^ wrap(BigInt(uid.length) * MULTIPLIER);
  for (let at = 0; at < uid.length; at += BLOCK_BYTES) {
    hash = wrap((hash ^ mix(littleEndian(uid.subarray(at, at + BLOCK_BYTES)))) * MULTIPLIER);
  }
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(mix(hash));
  return bytes.subarray(0, 6).toString('hex');
}

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
