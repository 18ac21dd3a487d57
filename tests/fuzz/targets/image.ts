// Fuzz: firmware files, raw and ELF. Real shapes, spoilt: an answer that a second look at the file bears out, or a refusal.
import { createHash } from 'node:crypto';
import { inflateSync } from 'node:zlib';
import { inspectImage } from '../../../src/firmware/inspect.ts';
import { readImage, type FirmwareImage } from '../../../src/firmware/image.ts';
import type { Passport } from '../../../src/firmware/passport.ts';
import { recognizeAt } from '../../../src/firmware/recognize.ts';
import * as build from '../../firmware/build-image.ts';
import { mutateBytes, sameBytes } from '../bytes.ts';
import { readElfTwice } from '../elf.ts';
import { ELF_FILES, LARGE_IMAGES, SMALL_IMAGES, WHOLE_KLIPPERS } from '../images.ts';
import { mutateJson, type Json } from '../json.ts';
import type { Random } from '../random.ts';
import { answerOr, holds, target, type Fate } from '../target.ts';
import { mutateText } from '../text.ts';

interface File {
  readonly bytes: Uint8Array;
  /** A whole Klipper with its end cut off, and nothing else. */
  readonly isCut: boolean;
}

const CODES = ['image-empty', 'image-truncated', 'image-foreign', 'image-too-large'] as const;
const ALL = [...SMALL_IMAGES, ...ELF_FILES];

export const image = target<File>({
  name: 'image',
  show: ({ bytes }) => bytes,
  input: (random) => {
    if (random.oneIn(20)) {
      const whole = random.pick(WHOLE_KLIPPERS);
      return { bytes: whole.slice(0, random.below(whole.length)), isCut: true };
    }
    return { bytes: spoilt(random), isCut: false };
  },
  check: ({ bytes, isCut }): Fate => {
    checkResident(bytes);
    const met = answerOr(CODES, () => {
      const read = readImage(bytes, 'fuzz.bin');
      return { read, passport: inspectImage(read) };
    });
    if ('code' in met) return met.code;
    const { read, passport } = met.answer;
    // What is left of one may be anything; nobody writes what is unknown.
    holds(
      !isCut || passport.kind === 'unknown',
      `a Klipper cut off after ${bytes.length} bytes is ${passport.kind}`,
    );
    holds(read.format !== 'bin' || sameBytes(read.bytes, bytes), 'a raw file is taken as other bytes');
    if (read.format === 'elf') holds(isSame(read, readElfTwice(bytes)), 'an ELF file is read as other bytes');
    checkPassport(passport, read);
    return `taken ${passport.kind}`;
  },
  fates: [
    ...CODES.filter((code) => code !== 'image-too-large'),
    'taken klipper',
    'taken katapult',
    'taken unknown',
  ],
});

function spoilt(random: Random): Uint8Array {
  switch (random.below(12)) {
    case 0:
      return build.klipper({
        version: mutateText(random, 'v0.13.0-1-gabcdef0'),
        mcu: mutateText(random, 'stm32f446xx'),
        config: config(random),
        dataBytes: random.pick([0, 4, 0x40, 0x100]),
      });
    case 1:
    case 2:
      return inPart(random, random.pick(ELF_FILES), 52 + 64);
    case 3:
      return inPart(random, random.pick(SMALL_IMAGES), 0x80);
    case 4:
      // Where real ones are long the most of the time goes into hashing: they come seldom.
      return random.oneIn(4)
        ? mutateBytes(random, random.pick(LARGE_IMAGES), { others: ALL })
        : random.pick(ALL);
    default:
      return mutateBytes(random, random.pick(ALL), { others: ALL });
  }
}

/** Only its beginning is changed: a header, or vectors. */
function inPart(random: Random, file: Uint8Array, length: number): Uint8Array {
  const head = mutateBytes(random, file.subarray(0, length), { most: 3 });
  const whole = new Uint8Array(head.length + file.length - length);
  whole.set(head);
  whole.set(file.subarray(length), head.length);
  return whole;
}

function config(random: Random): Record<string, unknown> {
  const whole: Json = { RESERVE_PINS_USB: 'PA11,PA12', CANBUS_FREQUENCY: 1_000_000, CANBUS_BRIDGE: 1 };
  const changed = mutateJson(random, whole);
  return typeof changed === 'object' && changed !== null && !Array.isArray(changed) ? { ...changed } : {};
}

function checkResident(bytes: Uint8Array): void {
  const resident = recognizeAt(bytes, 0x0800_8000);
  const { sizeBytes, sha256, kind } = resident;
  holds((kind === 'blank') === bytes.every((byte) => byte === 0xff), `lies there as ${kind}`);
  holds(sha256 === null || sizeBytes !== null, 'a hash of no length');
  if (sha256 === null || sizeBytes === null) return;
  holds(sizeBytes <= bytes.length, `${sizeBytes} of ${bytes.length} bytes are hashed`);
  holds(sha256 === hashOf(bytes.subarray(0, sizeBytes)), 'another hash than that of its bytes');
}

function checkPassport(passport: Passport, { bytes }: FirmwareImage): void {
  const { kind, linkAddress, programBytes, version, containerAddress } = passport;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  holds(passport.sizeBytes === bytes.length && passport.sha256 === hashOf(bytes), 'another size or hash');
  holds(programBytes === null || programBytes <= bytes.length, `a program of ${programBytes} bytes`);
  // The vectors: at the start, or behind an RP2040's second stage.
  const at = [0, 0x100].find(
    (offset) => offset + 8 <= bytes.length && view.getUint32(offset + 4, true) === passport.resetVector,
  );
  holds(at !== undefined, 'a reset vector that does not stand there');
  holds(view.getUint32(at, true) === passport.initialStackPointer, 'a stack that does not stand there');
  const base = linkAddress ?? containerAddress;
  if (base !== null) {
    const entry = passport.resetVector - 1 - base;
    holds(
      entry >= 0 && entry + 2 <= bytes.length,
      `linked at ${base}, where its first instruction is not in it`,
    );
  }
  if (kind === 'klipper')
    holds(versions(bytes).includes(version ?? ''), `version ${version} stands nowhere in it`);
}

/** Of every dictionary in the bytes. */
function versions(bytes: Uint8Array): unknown[] {
  const found: unknown[] = [];
  for (let at = bytes.indexOf(0x78); at >= 0; at = bytes.indexOf(0x78, at + 1)) {
    if (bytes[at + 1] !== 0xda) continue;
    try {
      const { version } = JSON.parse(inflateSync(bytes.subarray(at)).toString('latin1')) as {
        version?: unknown;
      };
      found.push(version);
    } catch {
      // Two bytes by chance.
    }
  }
  return found;
}

function isSame({ address, bytes }: FirmwareImage, other: { address: number; bytes: Uint8Array }): boolean {
  return address === other.address && sameBytes(bytes, other.bytes);
}

const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
