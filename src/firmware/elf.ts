// ELF: what a linked program puts into flash. Layout: System V ABI, "Object Files"; ARM: "ELF for the Arm Architecture".
import { hex } from '../errors.ts';
import { startsWith, u16, u32 } from './bytes.ts';
import { foreignImage, truncatedImage } from './complaints.ts';
import type { Piece } from './flatten.ts';

const MAGIC = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46);
const HEADER_SIZE = 52;
const CLASS_32 = 1;
const LITTLE_ENDIAN = 1;
const TYPE_EXECUTABLE = 2;
const MACHINE_ARM = 40;
const PROGRAM_HEADER_SIZE = 32;
const SECTION_HEADER_SIZE = 40;
/** A linked Klipper has four segments and twenty sections; more than this is no firmware. */
const MAX_ENTRIES = 256;

const PT_LOAD = 1;
const SHT_NULL = 0;
const SHT_NOBITS = 8;
const SHF_ALLOC = 2;

/** The e_machine values people really pick by mistake. */
const MACHINES: Readonly<Record<number, string>> = {
  3: 'a PC',
  62: 'a PC',
  83: 'an AVR',
  94: 'an ESP32 (Xtensa)',
  183: '64-bit ARM (the host itself)',
  243: 'RISC-V',
};

interface Extent {
  readonly offset: number;
  readonly size: number;
  readonly address: number;
}

export function looksLikeElf(file: Uint8Array): boolean {
  return startsWith(file, MAGIC);
}

/** What a programmer would write: allocated sections with contents, at the address they are loaded to (LMA). */
export function readElf(file: Uint8Array, name: string): Piece[] {
  checkHeader(file, name);
  const segments = readSegments(file, name);
  const sections = readSections(file, name);
  const extents = sections.length === 0 ? segments : sections.flatMap((section) => placed(section, segments));
  return extents.map(({ offset, size, address }) => {
    if (offset + size > file.length) {
      throw truncatedImage(
        name,
        `the data for ${hex(address)} end at file offset ${hex(offset + size)}, past the file`,
      );
    }
    return { address, bytes: file.subarray(offset, offset + size), place: `${name}+${hex(offset)}` };
  });
}

function checkHeader(file: Uint8Array, name: string): void {
  if (file.length < HEADER_SIZE) throw truncatedImage(name, 'the ELF file ends inside its header');
  const machine = u16(file, 18) ?? 0;
  if (file[4] !== CLASS_32 || file[5] !== LITTLE_ENDIAN || machine !== MACHINE_ARM) {
    throw foreignImage(
      name,
      `an ELF program for ${MACHINES[machine] ?? 'another kind of processor'}, not for a 32-bit ARM`,
    );
  }
  if (u16(file, 16) !== TYPE_EXECUTABLE) {
    throw foreignImage(name, 'an ELF object file or library, not a linked program');
  }
}

function readSegments(file: Uint8Array, name: string): Extent[] {
  const segments: Extent[] = [];
  for (const at of table(file, name, { start: 28, size: 42, count: 44 }, PROGRAM_HEADER_SIZE)) {
    // p_type, p_offset, p_vaddr, p_paddr, p_filesz
    const offset = u32(file, at + 4) ?? 0;
    const address = u32(file, at + 12) ?? 0;
    const size = u32(file, at + 16) ?? 0;
    if (u32(file, at) === PT_LOAD && size > 0) segments.push({ offset, address, size });
  }
  return segments;
}

/** Sections with their place in the file; the address here is not yet the load address. Stripped files have none. */
function readSections(file: Uint8Array, name: string): Extent[] {
  const sections: Extent[] = [];
  for (const at of table(file, name, { start: 32, size: 46, count: 48 }, SECTION_HEADER_SIZE)) {
    // sh_name, sh_type, sh_flags, sh_addr, sh_offset, sh_size
    const type = u32(file, at + 4) ?? 0;
    const flags = u32(file, at + 8) ?? 0;
    const address = u32(file, at + 12) ?? 0;
    const offset = u32(file, at + 16) ?? 0;
    const size = u32(file, at + 20) ?? 0;
    const isLoaded = (flags & SHF_ALLOC) !== 0 && type !== SHT_NULL && type !== SHT_NOBITS && size > 0;
    if (isLoaded) sections.push({ offset, address, size });
  }
  return sections;
}

/** A section's load address follows from the segment that holds its bytes; .data is linked to RAM but stored in flash. */
function placed(section: Extent, segments: readonly Extent[]): Extent[] {
  const home = segments.find(
    ({ offset, size }) => section.offset >= offset && section.offset + section.size <= offset + size,
  );
  return home === undefined ? [] : [{ ...section, address: home.address + section.offset - home.offset }];
}

/** The file offsets of a header table's entries; `fields` are the offsets of its description in the ELF header. */
function table(
  file: Uint8Array,
  name: string,
  fields: { start: number; size: number; count: number },
  entrySize: number,
): number[] {
  const start = u32(file, fields.start) ?? 0;
  const size = u16(file, fields.size) ?? 0;
  const count = u16(file, fields.count) ?? 0;
  if (start === 0 || count === 0) return [];
  if (size !== entrySize || count > MAX_ENTRIES) {
    throw foreignImage(name, `an ELF header table of ${count} entries of ${size} bytes`);
  }
  if (start + count * size > file.length) {
    throw truncatedImage(
      name,
      `a header table ends at file offset ${hex(start + count * size)}, past the file`,
    );
  }
  return Array.from({ length: count }, (_, index) => start + index * size);
}
