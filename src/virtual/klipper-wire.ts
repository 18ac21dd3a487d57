// Virtual bench, Klipper's wire: message blocks and their integers, written from docs/Protocol.md.

export const BLOCK = {
  min: 5,
  max: 64,
  header: 2,
  trailer: 3,
  sync: 0x7e,
  seqMask: 0x0f,
  dest: 0x10,
} as const;

/** CRC-16 CCITT as HDLC has it, without the final inversion; sent high byte first. */
export function blockCrc(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x8408 : crc >>> 1;
  }
  return crc;
}

export function frameBlock(sequence: number, content: Uint8Array): Uint8Array {
  const block = new Uint8Array(content.length + BLOCK.min);
  block[0] = block.length;
  block[1] = sequence;
  block.set(content, BLOCK.header);
  const crc = blockCrc(block.subarray(0, block.length - BLOCK.trailer));
  block[block.length - 3] = crc >> 8;
  block[block.length - 2] = crc & 0xff;
  block[block.length - 1] = BLOCK.sync;
  return block;
}

/** Upper limits (exclusive) of the sizes 1 to 4 in Protocol.md's table; the lower ones are a third of them. */
const VLQ_LIMITS = [96, 12_288, 1_572_864, 201_326_592] as const;

export function encodeVlq(value: number): number[] {
  // Beyond 2^31 the integer wraps, as 32-bit registers do.
  const signed = value | 0;
  let size = 1;
  for (const limit of VLQ_LIMITS) {
    if (signed < limit && signed >= -limit / 3) break;
    size++;
  }
  const bytes: number[] = [];
  for (let index = size - 1; index >= 0; index--) {
    const group = (signed >>> (index * 7)) & 0x7f;
    bytes.push(index > 0 ? group | 0x80 : group);
  }
  return bytes;
}

/** The integer at `at` and where the next one starts; undefined when the bytes end inside it. */
export function decodeVlq(bytes: Uint8Array, at: number): { value: number; next: number } | undefined {
  let byte = bytes[at];
  if (byte === undefined) return undefined;
  // Both top bits of the first seven set: a negative number.
  let value = (byte & 0x60) === 0x60 ? (byte & 0x7f) - 0x80 : byte & 0x7f;
  let next = at + 1;
  while ((byte & 0x80) !== 0) {
    byte = bytes[next];
    if (byte === undefined) return undefined;
    next++;
    value = (value << 7) | (byte & 0x7f);
  }
  return { value, next };
}
