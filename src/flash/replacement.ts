// What is being replaced on a board: on disk from before the first erase until the board was seen to run what it should.
// A process that dies in between, or a cable that is pulled, leaves it behind, and the next start knows what is owed.
import {
  array,
  boolean,
  enums,
  nullable,
  number,
  object,
  string,
  type Describe,
  type Infer,
} from 'superstruct';
import { OctopusError } from '../errors.ts';
import type { Passport } from '../firmware/passport.ts';
import { sha256 } from '../firmware/sha256.ts';
import { equalBytes } from '../firmware/plan.ts';
import { seal, unseal } from '../kept.ts';
import type { Kit } from './kit.ts';
import { FORCES, type FlashPlan } from './preflight.ts';

const PassportStruct: Describe<Passport> = object({
  kind: enums(['klipper', 'katapult', 'katapult-deployer', 'stock-bootloader', 'unknown']),
  linkAddress: nullable(number()),
  mcu: nullable(string()),
  version: nullable(string()),
  transport: nullable(enums(['usb', 'bridge', 'can', 'serial'])),
  canFrequency: nullable(number()),
  launchAddress: nullable(number()),
  clockFrequency: nullable(number()),
  programBytes: nullable(number()),
  name: string(),
  format: enums(['bin', 'hex', 'elf']),
  containerAddress: nullable(number()),
  sizeBytes: number(),
  sha256: string(),
  initialStackPointer: number(),
  resetVector: number(),
});

const Record = object({
  /** ISO 8601. */
  startedAt: string(),
  /** Of the chip that it was begun on, in hex. */
  chipUid: nullable(string()),
  address: number(),
  sizeBytes: number(),
  /** Of the image's bytes as they go into flash, which lie beside this record. */
  sha256: string(),
  passport: PassportStruct,
  replaceBootloader: boolean(),
  force: array(enums(FORCES)),
  /** The backup that holds what ran there before; null where nothing did. */
  before: nullable(string()),
});
export type Replacement = Infer<typeof Record>;

const recordKey = (board: string) => `replacements/${board}.json`;
/** By content: an image that is kept for a job to come must not replace that of a record which is open. */
const imageKey = (board: string, digest: string) => `replacements/${board}.${digest.slice(0, 12)}.bin`;

type StoreKit = Pick<Kit, 'store'>;

/** The bytes first, then the record that names them. Throws `store-failed`. */
export async function openReplacement(
  kit: Pick<Kit, 'clock' | 'store'>,
  { board, image, passport }: Pick<FlashPlan, 'board' | 'image' | 'passport'>,
  facts: Pick<Replacement, 'chipUid' | 'replaceBootloader' | 'force' | 'before'>,
): Promise<void> {
  const record: Replacement = {
    startedAt: new Date(kit.clock.date()).toISOString(),
    address: image.address,
    sizeBytes: image.bytes.length,
    sha256: sha256(image.bytes),
    passport,
    ...facts,
  };
  await keepImage(kit, board.name, image.bytes);
  await kit.store.write(recordKey(board.name), seal(record));
}

/** May be done long before, while nothing waits for it. Throws `store-failed`. */
export async function keepImage(kit: StoreKit, board: string, bytes: Uint8Array): Promise<void> {
  const key = imageKey(board, sha256(bytes));
  const there = await kit.store.read(key);
  if (there === undefined || !equalBytes(there, bytes)) await kit.store.write(key, bytes);
}

/** Undefined where nothing is owed, and where the record cannot be read. */
export async function readReplacement(kit: StoreKit, board: string): Promise<Replacement | undefined> {
  const bytes = await kit.store.read(recordKey(board));
  return bytes === undefined ? undefined : unseal(bytes, Record);
}

/** Whether something is owed, though the record may not say what. */
export async function isReplacementOpen(kit: StoreKit, board: string): Promise<boolean> {
  return (await kit.store.read(recordKey(board))) !== undefined;
}

/** The record as it lies on the disk, whatever state it is in; empty where there is none. */
export async function replacementText(kit: StoreKit, board: string): Promise<string> {
  return new TextDecoder().decode(await kit.store.read(recordKey(board)));
}

/** The image of an open replacement. Throws `backup-damaged` where its bytes are gone or others. */
export async function readImageOf(
  kit: StoreKit,
  board: string,
  { sizeBytes, sha256: expected }: Replacement,
): Promise<Uint8Array> {
  const key = imageKey(board, expected);
  const bytes = await kit.store.read(key);
  if (bytes !== undefined && bytes.length === sizeBytes && sha256(bytes) === expected) return bytes;
  throw new OctopusError(
    'backup-damaged',
    `the image that was being written to ${board} is gone or damaged`,
    {
      place: key,
      advice: 'Flash the board again (octopus flash), or put a backup back (octopus restore).',
    },
  );
}

/** The board runs what it should. Throws `store-failed`. */
export async function closeReplacement(kit: StoreKit, board: string): Promise<void> {
  await kit.store.remove(recordKey(board));
  const images = await kit.store.list('replacements');
  const isOurs = (key: string) =>
    key.startsWith(`replacements/${board}.`) &&
    /^[0-9a-f]{12}\.bin$/.test(key.slice(`replacements/${board}.`.length));
  for (const key of images) if (isOurs(key)) await kit.store.remove(key);
}
