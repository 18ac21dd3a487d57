// What a DfuSe device says of itself: the configuration descriptor and the memory map in its strings.
// Sources: USB 2.0 chapter 9, DFU 1.1 section 4.1.3, ST UM0424 ("DfuSe" string format), real-silicon.md 5.
import { OctopusError } from '../errors.ts';
import { PROMPT_TIMEOUT_MS, ask, type DfuTalk } from './dfu.ts';

const GET_DESCRIPTOR = 6;
const DESCRIPTOR_CONFIGURATION = 2;
const DESCRIPTOR_STRING = 3;
const DESCRIPTOR_INTERFACE = 4;
const DESCRIPTOR_DFU_FUNCTIONAL = 0x21;
const LANGUAGE_ENGLISH_US = 0x0409;

/** UM0424: the size's unit; a blank counts bytes, as `01*016 e` of the option bytes shows. */
const UNIT_BYTES = new Map([
  [' ', 1],
  ['B', 1],
  ['K', 1024],
  ['M', 1024 * 1024],
]);

/** Of the core's 32 bits. */
const ADDRESS_END = 2 ** 32;

export interface MapSector {
  readonly address: number;
  readonly sizeBytes: number;
  readonly readable: boolean;
  readonly erasable: boolean;
  readonly writable: boolean;
}

export interface DfuDescription {
  /** The string of alternate setting 0, cleaned. */
  readonly memoryName: string;
  readonly sectors: readonly MapSector[];
  /** wTransferSize of the functional descriptor, bytes. */
  readonly transferSizeBytes: number;
}

/** Asks the device for its descriptors. Throws `bad-descriptor`. */
export function* describeDfu(): DfuTalk<DfuDescription> {
  const configuration = yield* getDescriptor(DESCRIPTOR_CONFIGURATION, 0, 0);
  const { transferSizeBytes, nameIndex } = parseConfiguration(configuration);
  const memoryName = decodeString(yield* getDescriptor(DESCRIPTOR_STRING, nameIndex, LANGUAGE_ENGLISH_US));
  return { memoryName, sectors: parseMemoryName(memoryName), transferSizeBytes };
}

function* getDescriptor(type: number, index: number, language: number): DfuTalk<Uint8Array> {
  const answer = yield* ask({
    kind: 'in',
    setup: {
      type: 'standard',
      recipient: 'device',
      request: GET_DESCRIPTOR,
      value: (type << 8) | index,
      index: language,
    },
    length: 255,
    timeoutMs: PROMPT_TIMEOUT_MS,
  });
  if (answer instanceof Uint8Array && answer.length >= 2) return answer;
  throw bad(`no descriptor ${type}:${index} (${answer instanceof Uint8Array ? 'empty' : answer})`);
}

/**
 * wTransferSize and the string index of alternate setting 0.
 * The functional descriptor stands once, after the last alternate setting, and counts for all of them
 * (fwupd found defaults where it looked for one behind each).
 */
export function parseConfiguration(bytes: Uint8Array): { transferSizeBytes: number; nameIndex: number } {
  let nameIndex: number | undefined;
  let transferSizeBytes: number | undefined;
  const total = Math.min(bytes.length, (bytes[2] ?? 0) | ((bytes[3] ?? 0) << 8));
  for (let at = 0; at < total;) {
    const length = bytes[at] ?? 0;
    if (length < 2 || at + length > total) throw bad(`configuration descriptor is cut at byte ${at}`);
    const type = bytes[at + 1];
    if (type === DESCRIPTOR_INTERFACE && length >= 9 && bytes[at + 2] === 0 && bytes[at + 3] === 0)
      nameIndex = bytes[at + 8];
    if (type === DESCRIPTOR_DFU_FUNCTIONAL && length >= 7)
      transferSizeBytes = (bytes[at + 5] ?? 0) | ((bytes[at + 6] ?? 0) << 8);
    at += length;
  }
  if (nameIndex === undefined || nameIndex === 0) throw bad('alternate setting 0 has no memory name');
  if (transferSizeBytes === undefined || transferSizeBytes < 32)
    throw bad(`no usable wTransferSize (${transferSizeBytes ?? 'absent'})`);
  return { transferSizeBytes, nameIndex };
}

/**
 * A string descriptor as text. What was received counts, not bLength: a 1 MB STM32F42x says 166 and sends 112,
 * with rubbish behind the name, so the text also ends at the first character outside printable ASCII.
 */
export function decodeString(bytes: Uint8Array): string {
  let text = '';
  for (let at = 2; at + 1 < bytes.length; at += 2) {
    const unit = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    if (unit < 0x20 || unit > 0x7e) break;
    text += String.fromCharCode(unit);
  }
  return text;
}

/**
 * `@Internal Flash  /0x08000000/04*016Kg,01*064Kg,03*128Kg` as sectors in address order.
 * Counts have one to three digits, sizes two to four; the unit is a space (bytes), K or M; the last letter's
 * three low bits say readable, erasable, writable (UM0424).
 */
export function parseMemoryName(name: string): readonly MapSector[] {
  const head = /^@[^/]*/.exec(name);
  if (head === null) throw bad(`memory name "${name}" is not DfuSe's`);
  const sectors: MapSector[] = [];
  const blocks = /\/0x([0-9a-fA-F]{1,8})\/([^/]*)/gy;
  blocks.lastIndex = head[0].length;
  let end = head[0].length;
  for (let block = blocks.exec(name); block !== null; block = blocks.exec(name)) {
    end = blocks.lastIndex;
    let address = Number.parseInt(block[1] ?? '', 16);
    for (const part of (block[2] ?? '').split(',')) {
      const match = /^(\d{1,3})\*(\d{1,4})([ BKM])([a-g])\s*$/.exec(part.trimStart());
      if (match === null) throw bad(`memory name "${name}": cannot read "${part}"`);
      const sizeBytes = Number(match[2]) * (UNIT_BYTES.get(match[3] ?? '') ?? 0);
      const bits = (match[4] ?? '').charCodeAt(0) & 7;
      if (sizeBytes === 0) throw bad(`memory name "${name}": a sector of no bytes`);
      if (address + Number(match[1]) * sizeBytes > ADDRESS_END)
        throw bad(`memory name "${name}": sectors beyond the last address`);
      for (let count = Number(match[1]); count > 0; count--) {
        sectors.push({
          address,
          sizeBytes,
          readable: (bits & 1) !== 0,
          erasable: (bits & 2) !== 0,
          writable: (bits & 4) !== 0,
        });
        address += sizeBytes;
      }
    }
  }
  if (sectors.length === 0 || end !== name.length)
    throw bad(`memory name "${name}" cannot be read to its end`);
  return sectors;
}

function bad(message: string): OctopusError {
  return new OctopusError('bad-descriptor', `DFU device: ${message}`, {
    advice: 'The device is not an STM32 ROM bootloader, or the cable drops bytes: try another cable or port.',
  });
}
