// Klipper's data dictionary: JSON in a zlib stream, stored as it is among the constants of the image.
// Klipper, scripts/buildcommands.py, HandleIdentify: zlib.compress(json, 9).
import { indexOf, latin1 } from './bytes.ts';
import { inflate } from './inflate.ts';

/** The two bytes that every zlib stream of level 9 begins with (RFC 1950, 2.2). */
const ZLIB_LEVEL_9 = Uint8Array.of(0x78, 0xda);

/** RFC 1951, 3.2.3: Huffman codes, fixed or dynamic. The other two values are what chance would give half of the time. */
const HUFFMAN_BLOCKS: ReadonlySet<number> = new Set([1, 2]);

/** An image holds the two bytes once or twice; the bound keeps a hostile file from taking long. */
const MAX_CANDIDATES = 64;

/** What the dictionary begins with. Its keys are sorted; "app" came in 2023, before it "build_versions" was the first. */
const BEGINNING = /^\{\s*"(app|build_versions)"\s*:/;

export interface Dictionary {
  /** Where its stream begins in the image. */
  readonly offset: number;
  /** Null where the image ends before the stream does. */
  readonly contents: DictionaryContents | null;
}

export interface DictionaryContents {
  readonly version: string;
  readonly config: Readonly<Record<string, unknown>>;
}

/** The dictionary alone, as a running Klipper sends it; undefined where it is damaged or none. */
export function readDictionary(compressed: Uint8Array): DictionaryContents | undefined {
  return dictionaryAt(compressed, 0)?.contents ?? undefined;
}

/** All dictionaries in the bytes: a memory dump may hold the remains of older firmware behind the present one. */
export function findDictionaries(bytes: Uint8Array): Dictionary[] {
  const found: Dictionary[] = [];
  let tried = 0;
  for (let at = indexOf(bytes, ZLIB_LEVEL_9); at >= 0; at = indexOf(bytes, ZLIB_LEVEL_9, at + 1)) {
    const blockType = ((bytes[at + 2] ?? 0) >> 1) & 3;
    if (!HUFFMAN_BLOCKS.has(blockType)) continue;
    tried += 1;
    if (tried > MAX_CANDIDATES) break;
    const dictionary = dictionaryAt(bytes, at);
    if (dictionary !== undefined) found.push(dictionary);
  }
  return found;
}

function dictionaryAt(bytes: Uint8Array, offset: number): Dictionary | undefined {
  const inflated = inflate(bytes.subarray(offset));
  if (inflated === undefined) return undefined;
  const text = latin1(inflated.bytes);
  if (!BEGINNING.test(text)) return undefined;
  if (inflated.state === 'cut') return { offset, contents: null };
  const contents = parse(text);
  return contents === undefined ? undefined : { offset, contents };
}

function parse(text: string): DictionaryContents | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(json) || !isRecord(json['config']) || !isRecord(json['commands'])) return undefined;
  const version = json['version'];
  return typeof version === 'string' ? { version, config: json['config'] } : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
