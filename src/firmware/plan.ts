// Which sectors must be erased and which bytes written so that the flash holds an image. Pure.
import { OctopusError, hex } from '../errors.ts';

export interface PlanSector {
  readonly address: number;
  readonly sizeBytes: number;
}

export interface PlannedImage {
  readonly address: number;
  readonly bytes: Uint8Array;
}

export interface WritePlan {
  /** Sectors to erase, the application's first one first. Empty: the flash holds the image already. */
  readonly erase: readonly PlanSector[];
  /** Byte runs to program, in order. The image's first bytes are the last run. */
  readonly write: readonly PlannedImage[];
}

/** The sectors that an image of `sizeBytes` at `address` lies in. Throws `image-overruns-flash`, `wrong-address`. */
export function sectorsOf(
  sectors: readonly PlanSector[],
  address: number,
  sizeBytes: number,
): readonly PlanSector[] {
  const touched = sectors.filter(
    (sector) => sector.address < address + sizeBytes && address < sector.address + sector.sizeBytes,
  );
  const last = sectors.at(-1);
  const end = last === undefined ? 0 : last.address + last.sizeBytes;
  if (address + sizeBytes > end) {
    throw new OctopusError(
      'image-overruns-flash',
      `${sizeBytes} bytes at ${hex(address)} end at ${hex(address + sizeBytes)}, the flash at ${hex(end)}`,
      {
        place: hex(address),
        advice: 'Build for this chip, or leave out features until it fits.',
      },
    );
  }
  if (touched[0]?.address !== address) {
    throw new OctopusError('wrong-address', `${hex(address)} is not the start of a flash sector`, {
      place: hex(address),
      advice: 'Set the bootloader offset that the board uses in make menuconfig and build again.',
    });
  }
  return touched;
}

/**
 * What to do about `image` when `current` lies on the chip in `touched` (from the image's address on, whole sectors).
 * Only sectors that differ within the image are erased; if any does, the first one is rewritten too, because it is
 * erased first and its first bytes are programmed last: a torn write then never looks like a whole application.
 * @param headBytes size of the run programmed last (one transfer)
 * @param wordBytes smallest unit the flash programs; the end is padded to it with 0xFF
 * @param mustErase sectors whose content is not known, so that `current` says nothing
 */
export function planWrite(
  image: PlannedImage,
  touched: readonly PlanSector[],
  current: Uint8Array,
  headBytes: number,
  wordBytes: number,
  mustErase: (sector: PlanSector) => boolean = () => false,
): WritePlan {
  const differing = touched.filter((sector) => {
    if (mustErase(sector)) return true;
    const from = sector.address - image.address;
    const to = Math.min(from + sector.sizeBytes, image.bytes.length);
    return !equalBytes(image.bytes.subarray(from, to), current.subarray(from, to));
  });
  const first = touched[0];
  if (differing.length === 0 || first === undefined) return { erase: [], write: [] };
  const erase = differing.includes(first) ? differing : [first, ...differing];

  const padded = padTo(image.bytes, wordBytes);
  const head = Math.min(headBytes, padded.length);
  const write: PlannedImage[] = [];
  for (const run of joinNeighbours(erase)) {
    const from = Math.max(run.address - image.address, head);
    const to = Math.min(run.address - image.address + run.sizeBytes, padded.length);
    write.push(...withoutBlankBlocks(image.address, padded, from, to, headBytes));
  }
  write.push({ address: image.address, bytes: padded.subarray(0, head) });
  return { erase, write };
}

/** The stretches of `bytes[from..to]` that hold more than 0xFF: erased flash holds the rest already. */
function* withoutBlankBlocks(
  base: number,
  bytes: Uint8Array,
  from: number,
  to: number,
  blockBytes: number,
): Generator<PlannedImage> {
  let start = from;
  for (let at = from; at < to; at += blockBytes) {
    const end = Math.min(at + blockBytes, to);
    if (bytes.subarray(at, end).every((byte) => byte === 0xff)) {
      if (start < at) yield { address: base + start, bytes: bytes.subarray(start, at) };
      start = end;
    }
  }
  if (start < to) yield { address: base + start, bytes: bytes.subarray(start, to) };
}

function joinNeighbours(sectors: readonly PlanSector[]): PlanSector[] {
  const runs: PlanSector[] = [];
  for (const sector of [...sectors].sort((a, b) => a.address - b.address)) {
    const last = runs.at(-1);
    if (last !== undefined && last.address + last.sizeBytes === sector.address) {
      runs[runs.length - 1] = { address: last.address, sizeBytes: last.sizeBytes + sector.sizeBytes };
    } else {
      runs.push(sector);
    }
  }
  return runs;
}

function padTo(bytes: Uint8Array, unit: number): Uint8Array {
  const length = Math.ceil(bytes.length / unit) * unit;
  if (length === bytes.length) return bytes;
  const padded = new Uint8Array(length).fill(0xff);
  padded.set(bytes);
  return padded;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
