/**
 * What must survive a power cut: journal, backups, board memories.
 * Keys are relative paths of [a-z0-9._-] parts joined by `/`.
 */
export interface Store {
  /** The bytes of `key`, or undefined where there are none. Throws `store-failed`. */
  read(key: string): Promise<Uint8Array | undefined>;
  /** Replaces `key` as a whole; resolves when the bytes are on the disk. Throws `store-failed`. */
  write(key: string, bytes: Uint8Array): Promise<void>;
  /** All keys below `prefix` (a folder, without the last `/`), sorted. */
  list(prefix: string): Promise<readonly string[]>;
  remove(key: string): Promise<void>;
}
