// A second reader of ELF files, for what the product takes: as objcopy writes its .bin, byte by byte.

interface Part {
  readonly from: number;
  readonly length: number;
  readonly address: number;
}

/** @param file which is sound: what this makes of one that is not means nothing */
export function readElfTwice(file: Uint8Array): { address: number; bytes: Uint8Array } {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const word = (at: number) => view.getUint32(at, true);
  const loads: Part[] = [];
  const segments = word(28) === 0 ? 0 : view.getUint16(44, true);
  for (let n = 0, at = word(28); n < segments; n++, at += 32)
    if (word(at) === 1 && word(at + 16) > 0)
      loads.push({ from: word(at + 4), length: word(at + 16), address: word(at + 12) });
  const sections: Part[] = [];
  const headers = word(32) === 0 ? 0 : view.getUint16(48, true);
  for (let n = 0, at = word(32); n < headers; n++, at += 40) {
    const [type, flags, from, length] = [word(at + 4), word(at + 8), word(at + 16), word(at + 20)];
    // SHF_ALLOC, and contents in the file: neither SHT_NULL nor SHT_NOBITS.
    if (flags % 4 < 2 || type === 0 || type === 8 || length === 0) continue;
    sections.push({ from, length, address: -1 });
  }
  const parts =
    sections.length === 0
      ? loads
      : sections.flatMap(({ from, length }) => {
          const home = loads.find((load) => from >= load.from && from + length <= load.from + load.length);
          return home === undefined ? [] : [{ from, length, address: home.address + from - home.from }];
        });
  const start = Math.min(...parts.map(({ address }) => address));
  const end = Math.max(...parts.map(({ address, length }) => address + length));
  const bytes = new Uint8Array(end - start);
  const said = new Uint8Array(end - start);
  for (const { from, length, address } of parts) {
    bytes.set(file.subarray(from, from + length), address - start);
    said.fill(1, address - start, address - start + length);
  }
  // Holes shorter than the coarsest alignment are the linker's, and zero; longer ones are left erased.
  for (let at = 0; at < said.length;) {
    if (said[at] === 1) {
      at += 1;
      continue;
    }
    const next = said.indexOf(1, at);
    if (next - at >= 16) bytes.fill(0xff, at, next);
    at = next;
  }
  return { address: start, bytes };
}
