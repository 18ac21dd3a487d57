// What keeps a chip from being read or written: its option bytes, as far as its ROM shows them.
import type { Mcu, OptionBytes, Sector } from '../boards/types.ts';
import { OctopusError, hex, type ErrorCode } from '../errors.ts';
import { WRITE_PROTECTION_CURE } from '../protocol/dfuse-exchange.ts';
import { recall, remember } from './board-memory.ts';
import type { Bootloader } from './bootloader.ts';
import type { Kit } from './kit.ts';
import type { TornSectors } from './torn-sectors.ts';

/** RM0090 table 16, RM0468 4.9.8: level 0. On any other level nothing could have been read. */
const NOT_READ_PROTECTED = 0xaa;

/** Once may be the cable. */
const MOST_HANGS = 2;

/**
 * The sectors that the chip says it protects against writing; undefined where it does not tell: many ROMs may refuse
 * (UNPROVEN on these parts, real-silicon.md 9.12), and what is no option byte is not believed.
 * Throws `flash-unreadable` where the chip stops answering: what hung twice, this time or earlier, is not asked again.
 */
export async function writeProtectedSectors(
  kit: Pick<Kit, 'store'>,
  chip: Bootloader,
  { mcu, name }: { readonly mcu: Mcu; readonly name: string },
  torn: TornSectors,
): Promise<readonly Sector[] | undefined> {
  const layout = mcu.rom?.optionBytes;
  if (chip.kind !== 'rom' || layout === undefined) return undefined;
  const { optionBytesHangs: hangs = 0 } = await recall(kit, name);
  if (hangs >= MOST_HANGS) return undefined;
  try {
    return protectedIn(mcu.sectors, layout, await chip.read(layout.address, layout.sizeBytes));
  } catch (error) {
    if (isCode(error, 'flash-unreadable')) {
      await remember(kit, name, { optionBytesHangs: hangs + 1 });
      torn.silentAt(layout.address);
      throw error;
    }
    if (!(error instanceof OctopusError) || error.code === 'device-gone' || error.code === 'read-protected')
      throw error;
    return undefined;
  }
}

/** Undefined where the bytes cannot be the option bytes of a chip that can be read, or mean more than write protection. */
export function protectedIn(
  sectors: readonly Sector[],
  { readProtectionAt, writeProtectionAt, pcropBit }: OptionBytes,
  bytes: Uint8Array,
): readonly Sector[] | undefined {
  if (bytes[readProtectionAt] !== NOT_READ_PROTECTED) return undefined;
  const word = (bytes[writeProtectionAt] ?? 0) | ((bytes[writeProtectionAt + 1] ?? 0) << 8);
  // With SPRMOD the bits of the sectors mean the reverse, and protect against reading too (RM0090 table 17).
  if (pcropBit !== null && ((word >> pcropBit) & 1) === 1) return undefined;
  return sectors.filter((_, index) => ((word >> index) & 1) === 0);
}

/** Throws `write-protected` where one of `sectors` is; nothing was erased. */
export function refuseProtected(
  protectedOnes: readonly Sector[] | undefined,
  sectors: readonly { readonly address: number }[],
): void {
  const hit = (protectedOnes ?? []).filter((one) => sectors.some(({ address }) => address === one.address));
  if (hit.length > 0) throw writeProtected(hit, 'says its option bytes');
}

/** @param by who says so */
export function writeProtected(sectors: readonly { readonly address: number }[], by: string): OctopusError {
  const where = sectors.map(({ address }) => hex(address)).join(', ');
  const what = sectors.length === 1 ? `the sector at ${where} is` : `the sectors at ${where} are`;
  return new OctopusError('write-protected', `${what} write-protected: ${by}`, {
    place: where,
    advice: WRITE_PROTECTION_CURE,
  });
}

export function isCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof OctopusError && error.code === code;
}
