// node:crypto because it is synchronous, in every Node, and the hash must be the one `sha256sum` prints.
import { createHash } from 'node:crypto';

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
