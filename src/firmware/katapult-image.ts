// Katapult and its deployer (an application that carries a whole Katapult and writes it over the bootloader).
import { alignedWords, asciiBytes, hasWord, indexOf, latin1, startsWith, u32 } from './bytes.ts';
import { MCU_NAMES } from './mcu-names.ts';
import { RP2040, STM32, type MemoryMap } from './memory-map.ts';
import { NOTHING_KNOWN, type Traits, type Transport } from './passport.ts';
import { branchTarget, dataCopy, extent, klipperSecondStage, loadedLiterals } from './startup.ts';
import { readVectors, type Vectors } from './vectors.ts';

/** CANBOOT_SIGNATURE stands right before the reset handler: Katapult, src/canboot.h and src/generic/armcm_canboot.c. */
const SIGNATURE = asciiBytes('CanBoot!');

/** PROTO_VERSION 1.1.0, loaded beside the launch address by the answer to CONNECT: src/flashcmd.c. */
const PROTOCOL_VERSION = 0x00010100;

/** USB_STR_MANUFACTURER, only in USB builds: src/generic/usb_cdc.c. The second one until 2023-07-31. */
const USB_NAMES = ['katapult', 'CanBoot'].map((name) => asciiBytes(name, true));

/**
 * The first CAN controllers: CAN1 or FDCAN1 of F0, F1, F4, G0, G4; CAN2 or FDCAN2; FDCAN1 and 2 of H7 (RM0390, RM0444, RM0468).
 * An RP2040 has none: can2040 makes one of a PIO (RP2040 datasheet, 2.2).
 */
const CAN_CONTROLLERS = new Map<MemoryMap, readonly number[]>([
  [STM32, [0x40006400, 0x40006800, 0x4000a000, 0x4000a400]],
  [RP2040, [0x50200000, 0x50300000]],
]);

/** What `git describe` gives, or the build's own form without git: Katapult, scripts/buildcommands.py, build_version. */
const VERSION = /v\d+\.\d+\.\d+[\w.+-]*|\?-\d{8}_\d{6}-[\w.-]+/;

/** A reset handler of Katapult lies this near its vectors (0x98 to 0x180 in the builds seen). */
const MAX_VECTOR_TABLE = 0x400;

export function recognizeKatapult(bytes: Uint8Array, vectors: Vectors): Traits | undefined {
  const { flashStart, bootBytes } = vectors.map;
  if (vectors.offset !== bootBytes) return undefined;
  const entry = vectors.entry - flashStart;
  // The string alone proves nothing: Klipper built for a bootloader contains it too, to find Katapult at run time.
  if (!startsWith(bytes, SIGNATURE, entry - SIGNATURE.length)) return undefined;
  const secondStage = branchTarget(bytes, entry);
  const { programBytes, isCut } = katapultExtent(bytes, flashStart, secondStage);
  // Behind its end may lie an application with strings of its own.
  const own = bytes.subarray(0, programBytes ?? bytes.length);
  const mcu = mcuName(own);
  return {
    ...NOTHING_KNOWN,
    kind: 'katapult',
    linkAddress: flashStart,
    mcu,
    version: VERSION.exec(latin1(own))?.[0] ?? null,
    transport: transport(own, vectors.map),
    launchAddress: launchAddress(own, vectors.map, secondStage),
    programBytes,
    isCut,
    damage: mcu === null ? 'the strings of Katapult are missing: it is cut off or damaged' : null,
  };
}

/**
 * On an STM32 its .data is empty, and the address of that is the end rounded up to a word. But a file ends with the last
 * constant: in CAN builds that is the version, and so up to three bytes earlier.
 */
function katapultExtent(
  bytes: Uint8Array,
  base: number,
  secondStage: number | undefined,
): { programBytes: number | null; isCut: boolean } {
  const copy = secondStage === undefined ? undefined : dataCopy(bytes, base, secondStage);
  const missing = copy?.sizeBytes === 0 ? copy.offset - bytes.length : 0;
  if (missing > 0 && missing < 4 && /[!-~]{4}\0$/.test(latin1(bytes.subarray(-5))))
    return { programBytes: bytes.length, isCut: false };
  return extent(bytes, base, secondStage);
}

/** `bases` are the addresses it may be linked at. */
export function recognizeDeployer(
  bytes: Uint8Array,
  vectors: Vectors,
  bases: readonly number[],
): Traits | undefined {
  for (const base of bases) {
    const secondStage = klipperSecondStage(bytes, base, vectors.entry - base, vectors.initialStackPointer);
    if (secondStage === undefined) continue;
    const { programBytes, isCut } = extent(bytes, base, secondStage);
    const inside = embeddedKatapult(bytes.subarray(0, programBytes ?? bytes.length), vectors.map);
    if (inside === undefined) continue;
    return { ...inside, kind: 'katapult-deployer', linkAddress: base, programBytes, isCut };
  }
  return undefined;
}

/** The carried Katapult begins where the reset vector leads exactly behind the signature. */
function embeddedKatapult(bytes: Uint8Array, map: MemoryMap): Traits | undefined {
  const vectorTable = map.flashStart + map.bootBytes;
  for (let at = indexOf(bytes, SIGNATURE); at >= 0; at = indexOf(bytes, SIGNATURE, at + 1)) {
    for (let start = at - 8; start >= Math.max(4, map.bootBytes, at - MAX_VECTOR_TABLE); start -= 1) {
      if (u32(bytes, start + 4) !== vectorTable + at + SIGNATURE.length - start + 1) continue;
      const program = bytes.subarray(start - map.bootBytes);
      const vectors = readVectors(program);
      if (vectors !== undefined) return recognizeKatapult(program, vectors);
    }
  }
  return undefined;
}

/**
 * Two witnesses: the second stage loads the address first of all flash addresses, since it may have to jump there at once;
 * and the answer to CONNECT names it. Where both speak they must agree.
 */
function launchAddress(bytes: Uint8Array, map: MemoryMap, secondStage: number | undefined): number | null {
  const loaded =
    secondStage === undefined ? [] : loadedLiterals(bytes, secondStage, MAX_VECTOR_TABLE).literals;
  const jumped = loaded.find((value) => canLaunch(map, value)) ?? null;
  const named = namedLaunchAddress(bytes, map);
  if (jumped !== null && named !== null && jumped !== named) return null;
  return jumped ?? named;
}

function namedLaunchAddress(bytes: Uint8Array, map: MemoryMap): number | null {
  for (const { offset, value } of alignedWords(bytes)) {
    const next = u32(bytes, offset + 4);
    if (value === PROTOCOL_VERSION && next !== undefined && canLaunch(map, next)) return next;
  }
  return null;
}

/** A Katapult built to jump elsewhere than behind itself would have been built by hand. */
function canLaunch(map: MemoryMap, address: number): boolean {
  return map.linkOffsets.some((offset) => offset > 0 && map.flashStart + offset === address);
}

function mcuName(bytes: Uint8Array): string | null {
  return MCU_NAMES.find((name) => indexOf(bytes, asciiBytes(name)) >= 0) ?? null;
}

/** One build speaks one transport only. */
function transport(bytes: Uint8Array, map: MemoryMap): Transport | null {
  if (USB_NAMES.some((name) => indexOf(bytes, name) >= 0)) return 'usb';
  return CAN_CONTROLLERS.get(map)?.some((address) => hasWord(bytes, address)) === true ? 'can' : null;
}
