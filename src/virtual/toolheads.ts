// Virtual bench: a handful of toolheads for a bus, of all models in turn, each with a chip of its own.

import type { CanNodeOptions } from './can-node.ts';
import { loadToolhead, toolheadNames } from './toolhead-data.ts';

/** Unique bytes as chips of these families have them, but for the one that counts the nodes. */
const STM32_UID = [0x2a, 0x00, 0x3b, 0x00, 0x0f, 0x51, 0x33, 0x31, 0x38, 0x35, 0x31, 0x38] as const;
const FLASH_UID = [0xe6, 0x61, 0x41, 0x04, 0x03, 0x65, 0x8d, 0x2f] as const;

/** The first ones are the same however many there are. */
export function toolheadsOnBus(count: number): CanNodeOptions[] {
  const models = toolheadNames();
  return Array.from({ length: count }, (_, index) => {
    const model = models[index % models.length] ?? '';
    const uid = Buffer.from(loadToolhead(model).mcu === 'rp2040' ? FLASH_UID : STM32_UID);
    uid[1] = index + 1;
    return { model, uid: uid.toString('hex') };
  });
}
