// What the program keeps for itself on the disk, as JSON that people can read, and read back as it was written or not at all:
// a letter that a worn SD card has changed must not become another address.
import { createHash } from 'node:crypto';
import { create, type Struct } from 'superstruct';

/** The last key of each file: of all that precedes it. */
const SEAL = 'seal';

/** The bytes of such a file. @param record what JSON can hold, without a key `seal` */
export function seal(record: object): Uint8Array {
  const sealed = { ...record, [SEAL]: sealOf(record) };
  return new TextEncoder().encode(`${JSON.stringify(sealed, null, 2)}\n`);
}

/** What was sealed; undefined where the bytes were cut or changed since, and where they are not of that shape. */
export function unseal<T, S>(bytes: Uint8Array, shape: Struct<T, S>): T | undefined {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-assignment -- judged below
    const { [SEAL]: found, ...record } = JSON.parse(new TextDecoder().decode(bytes));
    return found === sealOf(record) ? create(record, shape) : undefined;
  } catch {
    return undefined;
  }
}

function sealOf(record: object): string {
  return createHash('sha256').update(JSON.stringify(record)).digest('hex').slice(0, 16);
}
