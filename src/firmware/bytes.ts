// Reading numbers and finding byte runs. Everything on these chips is little endian.

/** The 16-bit value at `offset`, or undefined where it is not wholly inside. */
export function u16(bytes: Uint8Array, offset: number): number | undefined {
  const low = bytes[offset];
  const high = bytes[offset + 1];
  return low === undefined || high === undefined ? undefined : low | (high << 8);
}

/** The 32-bit value at `offset`, or undefined where it is not wholly inside. */
export function u32(bytes: Uint8Array, offset: number): number | undefined {
  const low = u16(bytes, offset);
  const high = u16(bytes, offset + 2);
  return low === undefined || high === undefined ? undefined : (low | (high << 16)) >>> 0;
}

/** Every 32-bit value at a multiple of four: where the compiler keeps its literals. */
export function* alignedWords(bytes: Uint8Array): Generator<{ offset: number; value: number }> {
  for (let offset = 0; ; offset += 4) {
    const value = u32(bytes, offset);
    if (value === undefined) return;
    yield { offset, value };
  }
}

export function hasWord(bytes: Uint8Array, wanted: number): boolean {
  return countWord(bytes, wanted, 1) > 0;
}

/** How often it stands among them, counted up to `atMost`. */
export function countWord(bytes: Uint8Array, wanted: number, atMost: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let count = 0;
  for (let offset = 0; offset + 4 <= view.byteLength && count < atMost; offset += 4)
    if (view.getUint32(offset, true) === wanted) count += 1;
  return count;
}

/** The characters of an ASCII string as bytes; `wide` is UTF-16LE, as in a USB string descriptor. */
export function asciiBytes(text: string, wide = false): Uint8Array {
  const codes = Array.from(text, (character) => character.charCodeAt(0));
  return Uint8Array.from(wide ? codes.flatMap((code) => [code, 0]) : codes);
}

export function startsWith(bytes: Uint8Array, run: Uint8Array, at = 0): boolean {
  return at >= 0 && run.every((value, index) => bytes[at + index] === value);
}

/** The first place of `run` at or after `from`, or -1. */
export function indexOf(bytes: Uint8Array, run: Uint8Array, from = 0): number {
  const first = run[0];
  if (first === undefined) return -1;
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (startsWith(bytes, run, at)) return at;
  }
  return -1;
}

/** Text of the bytes, one character each: for looking at ASCII inside binary. */
export function latin1(bytes: Uint8Array): string {
  const PIECE = 4096; // String.fromCharCode takes its arguments from the stack
  let text = '';
  for (let at = 0; at < bytes.length; at += PIECE)
    text += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  return text;
}
