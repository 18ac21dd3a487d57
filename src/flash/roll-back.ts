// A board that does not come back with its new firmware gets its old one again, in the same job: never because of the
// printer's verdict, and never where the board itself is not to blame.
import { asOctopusError, type ErrorCode, type OctopusError } from '../errors.ts';
import { sectorsOf } from '../firmware/plan.ts';
import { readBackup } from './backup.ts';
import { expectedBoot, type ExpectedBoot } from './expected-boot.ts';
import type { Kit } from './kit.ts';
import type { Look } from './look.ts';
import type { BoardPlace } from './place.ts';
import type { FlashPlan } from './preflight.ts';
import { closeReplacement, readReplacement } from './replacement.ts';
import type { Inside, VisitKit } from './stay.ts';
import type { Stopwatch } from './stopwatch.ts';
import { confirm } from './verdict.ts';
import type { Seat } from './visit.ts';
import { usbKind } from './watch-usb.ts';
import { owedTo, writeAndVerify, type ImagePlan } from './write-image.ts';

/** What lay in the plan's sectors before, and what boots once it lies there again. */
interface WayBack extends ImagePlan {
  readonly words: string;
}

/**
 * The board's verdict on the image that was just written. Where it fails because of the image, what ran before is
 * written back and booted; the error says then what is on the board.
 * Throws `no-boot`, `wrong-device`, `wrong-version`. Returns what was expected, what was seen in words, and the copy of
 * what ran before; null where nothing did or nothing was written.
 */
export async function confirmOrRollBack(
  kit: VisitKit,
  place: BoardPlace,
  plan: FlashPlan,
  look: Pick<Look, 'atBase' | 'application' | 'behind'>,
  seat: Seat,
  watch: Stopwatch,
): Promise<{ readonly expected: ExpectedBoot; readonly boot: string; readonly before: string | null }> {
  watch.begin('confirm');
  const expected = expectedBoot(plan, look);
  let boot: string;
  try {
    boot = await confirm(kit, place.board, seat, expected, watch);
  } catch (verdict) {
    throw await rollBack(kit, place, plan, look, seat, verdict, watch);
  }
  const replacement = await readReplacement(kit, place.board.name).catch(() => undefined);
  await closeReplacement(kit, place.board.name).catch((error: unknown) =>
    watch.note(`The flash is done, but could not be noted down: ${asOctopusError(error).message}.`),
  );
  return { expected, boot, before: replacement?.before ?? null };
}

/** Returns the error that the job ends with: the one given, which says now what is on the board. */
async function rollBack(
  kit: VisitKit,
  place: BoardPlace,
  plan: FlashPlan,
  look: Pick<Look, 'atBase' | 'application' | 'behind'>,
  seat: Seat,
  verdict: unknown,
  watch: Stopwatch,
): Promise<OctopusError> {
  const error = watch.blame(verdict);
  if (!(await isImageToBlame(kit, seat, error))) return error;
  try {
    const back = await wayBack(kit, plan);
    if (back === undefined) return error;
    watch.note(`${error.message}: ${back.words} is written back.`);
    const seatThen = await seat.again(writeBack(back, watch));
    watch.begin('confirm');
    const seen = await confirm(
      kit,
      place.board,
      seatThen,
      expectedBoot(back, { ...look, behind: look.application }),
      watch,
    );
    error.onBoard = `The new firmware did not come back, so ${back.words} was written back, read back, and runs again: ${seen}.`;
    await closeReplacement(kit, place.board.name).catch(() => {});
  } catch (thrown) {
    const { message } = asOctopusError(thrown);
    error.onBoard = `${watch.onBoard ?? ''} What ran before could not be brought back: ${message}.`.trim();
  }
  return error;
}

/** On CAN `no-device` is silence, and `wrong-device` a Katapult that found nothing to start. */
const VERDICTS_ON_CAN: ReadonlySet<ErrorCode> = new Set([
  'no-boot',
  'no-device',
  'wrong-device',
  'wrong-version',
]);

/** Another board in its place, a port that is held, or a fitted BOOT0 jumper is no fault of the image. */
async function isImageToBlame(
  kit: Pick<Kit, 'usb'>,
  { busPath, node }: Seat,
  { code }: OctopusError,
): Promise<boolean> {
  if (node !== undefined) return VERDICTS_ON_CAN.has(code);
  if (code !== 'no-boot' && code !== 'wrong-version') return false;
  const there = (await kit.usb.list()).find((device) => device.busPath === busPath);
  return there === undefined || usbKind(there) !== 'romDfu';
}

/** Undefined where nothing ran before. Throws `backup-damaged`. */
async function wayBack(
  kit: Pick<Kit, 'store'>,
  { board, image, sectors }: FlashPlan,
): Promise<WayBack | undefined> {
  const replacement = await readReplacement(kit, board.name);
  const before = replacement?.before ?? null;
  if (before === null) return undefined;
  const { record, bytes } = await readBackup(kit, board.name, before);
  const sizeBytes = sectors.reduce((sum, sector) => sum + sector.sizeBytes, 0);
  const from = image.address - record.address;
  if (from < 0 || from + sizeBytes > bytes.length) return undefined;
  const old = { address: image.address, bytes: bytes.subarray(from, from + sizeBytes) };
  return {
    board,
    image: old,
    sectors: sectorsOf(board.mcu.sectors, old.address, sizeBytes),
    words: record.application ?? 'what lay there before',
  };
}

function writeBack(back: WayBack, watch: Stopwatch): Inside<void> {
  return async (chip, visit) => {
    visit.lastExit();
    visit.application = () => 'torn';
    const { address, bytes } = back.image;
    const current = await visit.torn.read(chip, address, bytes.length, () => {});
    const owed = owedTo(back, chip, visit.torn, current);
    await writeAndVerify(back, owed, { verify: true }, chip, visit.torn, watch);
    visit.application = () => 'whole';
  };
}
