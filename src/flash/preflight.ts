// Everything that can be found wrong before the printer is touched: image sound, right MCU, right address, fits?
import { flashSizeBytes } from '../boards/boards.ts';
import type { Board } from '../boards/types.ts';
import { OctopusError, hex } from '../errors.ts';
import { inspectImage } from '../firmware/inspect.ts';
import type { Passport } from '../firmware/passport.ts';
import { readImage } from '../firmware/image.ts';
import { sectorsOf, type PlannedImage, type PlanSector } from '../firmware/plan.ts';
import { judgeForNode } from '../firmware/node-rules.ts';
import { judgeKind, judgeWrite } from '../firmware/write-rules.ts';
import type { Look } from './look.ts';

export interface ImageFile {
  /** As the user named it, for messages. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface FlashOptions {
  readonly replaceBootloader: boolean;
  /** `unknown-kind`: an image that is not recognised but says by itself where it belongs (HEX, ELF). */
  readonly force: readonly Force[];
  /** What else must hold of the chip's content. Throws a refusal. */
  readonly judge?: (look: JudgedLook) => void;
}
export type JudgedLook = Pick<Look, 'atBase' | 'application' | 'behind'>;
export const FORCES = ['unknown-kind'] as const;
export type Force = (typeof FORCES)[number];

export interface FlashPlan {
  readonly board: Board;
  readonly passport: Passport;
  readonly image: PlannedImage;
  /** Whole sectors that the image lies in. */
  readonly sectors: readonly PlanSector[];
  /** Erase, program and read of all of it, typical times of the datasheet, plus entry and boot, ms. */
  readonly expectMs: number;
}

/** Klipper stopped, ROM entered, flash read, read back, booted, identified, Klipper ready: the sum on the virtual board. */
const AROUND_THE_WRITE_MS = 6_000;

/** Throws a refusal; nothing was touched. What depends on the chip's content is judged when that was read. */
export function preflight(board: Board, file: ImageFile, options: FlashOptions): FlashPlan {
  const read = readImage(file.bytes, file.name);
  const passport = inspectImage(read);
  const { mcu } = board;
  if (board.kind === 'toolhead') judgeForNode(passport, nodeOf(board, null));
  if (passport.mcu !== null && passport.mcu !== mcu.name) {
    throw new OctopusError(
      'wrong-mcu',
      `${file.name} is built for ${passport.mcu}, the board ${board.name} has an ${mcu.name}`,
      {
        place: file.name,
        advice: `Choose ${mcu.name} in make menuconfig and build again, or correct the board in the configuration.`,
      },
    );
  }
  const address = read.address ?? passport.linkAddress;
  if (passport.kind === 'unknown' && !(options.force.includes('unknown-kind') && read.address !== null)) {
    throw new OctopusError(
      'image-unknown-kind',
      `${file.name} is not recognised as Klipper, Katapult or a stock bootloader`,
      {
        place: file.name,
        advice:
          read.address === null
            ? 'Its address cannot be known: use the .elf or .hex of the same build if it really is firmware for this board.'
            : 'If you are sure that it is firmware for this board, add force: unknown-kind.',
      },
    );
  }
  if (address === null || (passport.linkAddress !== null && passport.linkAddress !== address)) {
    throw new OctopusError(
      'wrong-address',
      `${file.name}: ${address === null ? 'no link address can be found' : `stored for ${hex(address)}, linked at ${hex(passport.linkAddress ?? 0)}`}`,
      {
        place: file.name,
        advice: 'Build it again; the file does not fit itself.',
      },
    );
  }
  if (address < mcu.flashBase || address >= mcu.flashBase + flashSizeBytes(mcu)) {
    throw new OctopusError(
      'wrong-address',
      `${file.name} belongs at ${hex(address)}, outside the flash of an ${mcu.name}`,
      {
        place: hex(address),
        advice: 'Choose the right processor and bootloader offset in make menuconfig and build again.',
      },
    );
  }
  const sectors = sectorsOf(mcu.sectors, address, read.bytes.length);
  judgeKind(passport.kind);
  return {
    board,
    passport,
    image: { address, bytes: read.bytes },
    sectors,
    expectMs: estimateMs(board, sectors, read.bytes.length),
  };
}

/**
 * Checks the plan against what was really read from the chip: what lies at its start, and the application, which has
 * talked on this bus. Throws a refusal.
 */
export function judgePlan(plan: FlashPlan, options: FlashOptions, look: JudgedLook): void {
  const { board, passport, image } = plan;
  options.judge?.(look);
  if (board.kind === 'toolhead') judgeForNode(passport, nodeOf(board, look.application.canFrequency));
  judgeWrite(intentOf(board, passport, image.address, options), look.atBase);
}

/** A toolhead as the rules for nodes see it; the bitrate of its bus is known by what runs there now. */
function nodeOf({ name, mcu, applicationAddress }: Board, bitrate: number | null) {
  return { name, mcu: mcu.name, launchAddress: applicationAddress, bitrate };
}

function intentOf(board: Board, passport: Passport, address: number, options: FlashOptions) {
  return {
    kind: passport.kind,
    address,
    flashBase: board.mcu.flashBase,
    applicationAddress: board.applicationAddress,
    replaceBootloader: options.replaceBootloader,
  };
}

/** Typical erase and program times of the datasheet, plus what stands around them, ms. */
export function estimateMs(board: Board, sectors: readonly PlanSector[], sizeBytes: number): number {
  const eraseMs = sectors.reduce((sum, sector) => {
    const time = board.mcu.eraseMs.find(({ sizeKib }) => sizeKib * 1024 === sector.sizeBytes);
    return sum + (time?.typical ?? 0);
  }, 0);
  return Math.round(AROUND_THE_WRITE_MS + eraseMs + (sizeBytes * board.mcu.programUsPerByte.typical) / 1000);
}
