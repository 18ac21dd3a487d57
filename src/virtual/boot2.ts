// Virtual bench, RP2040: the second stage at the start of its flash, which the chip's ROM checks before it runs it.

/** RP2040 datasheet section 2.8.1.3.1: 256 bytes, the last four a CRC-32 over the others. */
export const BOOT2_BYTES = 256;
const CRC_AT = 252;

/** Same section: polynomial 0x04c11db7, first 0xffffffff, nothing reflected, nothing inverted. */
export function boot2Crc(stage: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of stage.subarray(0, CRC_AT)) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000_0000) === 0 ? crc << 1 : (crc << 1) ^ 0x04c1_1db7;
  }
  return crc >>> 0;
}

/** Whether the ROM starts it. Where it does not, it stays and waits on USB (section 2.8.1, boot sequence). */
export function isBoot2(flash: Uint8Array): boolean {
  if (flash.length < BOOT2_BYTES) return false;
  return new DataView(flash.buffer, flash.byteOffset).getUint32(CRC_AT, true) === boot2Crc(flash);
}

/** Any 252 bytes with the CRC that makes them one. */
export function sealBoot2(stage: Uint8Array): Uint8Array {
  const whole = new Uint8Array(BOOT2_BYTES);
  whole.set(stage.subarray(0, CRC_AT));
  new DataView(whole.buffer).setUint32(CRC_AT, boot2Crc(whole), true);
  return whole;
}
