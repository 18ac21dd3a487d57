// node:zlib because Klipper's dictionary is a zlib stream and Node can inflate one synchronously, with a bound on the output.
import { constants, inflateSync } from 'node:zlib';

/** Klipper's dictionary is 11 to 12 KB; the bound keeps a hostile stream from filling the memory. */
const MAX_OUTPUT = 256 * 1024;

export interface Inflated {
  /** `cut`: the bytes ended before the stream did, and `bytes` is what came out so far. */
  readonly state: 'whole' | 'cut';
  readonly bytes: Uint8Array;
}

/** The zlib stream that `bytes` begins with, whatever follows it; undefined where there is none or it is damaged. */
export function inflate(bytes: Uint8Array): Inflated | undefined {
  try {
    return { state: 'whole', bytes: inflateSync(bytes, { maxOutputLength: MAX_OUTPUT }) };
  } catch (error) {
    if (!endedEarly(error)) return undefined;
  }
  try {
    const flushed = inflateSync(bytes, { maxOutputLength: MAX_OUTPUT, finishFlush: constants.Z_SYNC_FLUSH });
    return { state: 'cut', bytes: flushed };
  } catch {
    return undefined;
  }
}

/** By the code alone: whether zlib's error is an Error of this realm is not our business. */
function endedEarly(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'Z_BUF_ERROR';
}
