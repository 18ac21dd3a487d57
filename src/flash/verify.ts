import { OctopusError, hex } from '../errors.ts';
import type { PlannedImage } from '../firmware/plan.ts';

/** The read-back `seen` differs from `image` although it was written twice. */
export function verifyFailed(image: PlannedImage, seen: Uint8Array): OctopusError {
  const at = image.address + image.bytes.findIndex((byte, index) => byte !== seen[index]);
  return new OctopusError('verify-failed', `the flash does not hold what was written, first at ${hex(at)}`, {
    place: hex(at),
    advice:
      'Flash again. If it fails at the same address, the flash is worn or the sector is write-protected.',
  });
}
