/**
 * The CRC of Klipper's and Katapult's frames: CRC-16/MCRF4XX (polynomial 0x1021 reflected, initial 0xffff, no final
 * inversion), computed bit by bit from its definition. Source of the parameters: Klipper docs/Protocol.md,
 * "Message Blocks"; check value of "123456789" is 0x6f91.
 */
export function crc16(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0x8408;
  }
  return crc;
}
