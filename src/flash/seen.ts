// What was read of a chip, and what that is: worked out when somebody asks, and once. Recognising takes longer than many
// a transfer, so it is asked for while the chip is still being read.
import type { Board } from '../boards/types.ts';
import { launchOf } from '../firmware/boot-rules.ts';
import { NOTHING_KNOWN, type Resident } from '../firmware/passport.ts';
import type { PlannedImage } from '../firmware/plan.ts';
import { recognizeAt } from '../firmware/recognize.ts';
import type { Bootloader } from './bootloader.ts';
import type { FlashPlan } from './preflight.ts';

/** Nobody has looked there: it may be anything, and is not taken for something that starts. */
const UNREAD = { ...NOTHING_KNOWN, sizeBytes: null, sha256: null, damage: 'it was not read' } as const;

export class Seen {
  readonly #board: Board;
  readonly #image: PlannedImage;
  readonly #running: Resident | undefined;
  #toCome: Resident | undefined;
  readonly #stretches: PlannedImage[] = [];
  /** By address, from so many bytes. */
  readonly #known = new Map<number, { readonly from: number; readonly resident: Resident }>();

  constructor({ board, image }: Pick<FlashPlan, 'board' | 'image'>, chip: Bootloader) {
    [this.#board, this.#image, this.#running] = [board, image, runningBootloader(chip, board)];
  }

  add(stretch: PlannedImage): void {
    this.#stretches.push(stretch);
  }

  get isBaseKnown(): boolean {
    return this.#running !== undefined;
  }

  get atBase(): Resident {
    return this.#running ?? this.#at(this.#board.mcu.flashBase);
  }

  /** What lies where the image is to lie. */
  get before(): Resident {
    return this.#image.address === this.#board.mcu.flashBase ? this.atBase : this.#at(this.#image.address);
  }

  get application(): Resident {
    return this.#at(this.launches);
  }

  get behind(): Resident {
    return this.#at(this.willLaunch);
  }

  /** Where the chip's bootloader launches now. */
  get launches(): number {
    return launchOf(this.atBase, this.#board.applicationAddress);
  }

  /** Where the bootloader will that the chip has once the image is on it. */
  get willLaunch(): number {
    const { flashBase } = this.#board.mcu;
    if (this.#image.address !== flashBase) return this.launches;
    this.#toCome ??= recognizeAt(this.#image.bytes, flashBase);
    return launchOf(this.#toCome, this.#board.applicationAddress);
  }

  /** The longest run of bytes that was read from `address` on. */
  from(address: number): Uint8Array {
    let longest: Uint8Array = new Uint8Array(0);
    for (const { address: start, bytes } of this.#stretches) {
      if (address < start || address - start > bytes.length) continue;
      const rest = bytes.subarray(address - start);
      if (rest.length > longest.length) longest = rest;
    }
    return longest;
  }

  #at(address: number): Resident {
    const bytes = this.from(address);
    if (bytes.length === 0) return { ...UNREAD, address };
    const known = this.#known.get(address);
    if (known !== undefined && known.from === bytes.length) return known.resident;
    const resident = recognizeAt(bytes, address);
    this.#known.set(address, { from: bytes.length, resident });
    return resident;
  }
}

/** The Katapult that answers us: it says by itself where it launches. */
export function runningBootloader({ kind, identity }: Bootloader, { mcu }: Board): Resident | undefined {
  if (kind !== 'katapult') return undefined;
  const { version, launchAddress } = identity;
  return {
    ...NOTHING_KNOWN,
    kind: 'katapult',
    address: mcu.flashBase,
    sizeBytes: null,
    sha256: null,
    linkAddress: mcu.flashBase,
    mcu: mcu.name,
    version,
    launchAddress,
  };
}
