// The four ways an image can be refused, each with the cure that fits most of its causes.
import { OctopusError } from '../errors.ts';
import { MAX_FLASH } from './memory-map.ts';

const REBUILD = 'Build it again with "make" in the klipper folder and copy the whole file.';

export function emptyImage(name: string, what: string): OctopusError {
  return new OctopusError('image-empty', `${name}: ${what}`, { place: name, advice: REBUILD });
}

export function truncatedImage(name: string, what: string, place = name): OctopusError {
  return new OctopusError('image-truncated', `${name}: ${what}`, {
    place,
    advice: `The file is cut short or damaged, perhaps in copying. ${REBUILD}`,
  });
}

export function foreignImage(
  name: string,
  what: string,
  advice = 'Give the klipper.bin or katapult.bin that was built for this board.',
  place = name,
): OctopusError {
  return new OctopusError('image-foreign', `${name}: ${what}`, { place, advice });
}

export function tooLargeImage(name: string, size: number): OctopusError {
  return new OctopusError('image-too-large', `${name}: ${size} bytes, more than the flash of any board`, {
    place: name,
    advice: `An image holds at most ${MAX_FLASH} bytes. Give the .bin that the build made, not an archive or a card image.`,
  });
}
