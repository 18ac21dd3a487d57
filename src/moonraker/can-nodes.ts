// Moonraker, the MCUs that printer.cfg reaches over CAN: from Klipper's own reading of its configuration.
import type { PrinterCanNode } from '../ports/printer.ts';
import { objectOrEmpty, type Answer } from './answers.ts';

/** What Klipper takes where `canbus_interface` is not given (klippy/mcu.py). */
const DEFAULT_INTERFACE = 'can0';

/** The sections of MCUs on a CAN bus. @param status of `printer.objects.query` with `configfile: ['config']` */
export function canSections(status: Answer): readonly Omit<PrinterCanNode, 'version'>[] {
  const config = objectOrEmpty(objectOrEmpty(status, 'configfile'), 'config');
  return Object.keys(config)
    .filter((section) => section === 'mcu' || section.startsWith('mcu '))
    .flatMap((section) => {
      const { canbus_uuid: uuid, canbus_interface: name } = objectOrEmpty(config, section);
      if (typeof uuid !== 'string') return [];
      const interfaceName = typeof name === 'string' ? name.trim() : DEFAULT_INTERFACE;
      return [{ section, uuid: uuid.trim().toLowerCase(), interfaceName }];
    });
}

/** @param status of `printer.objects.query` with `mcu_version` of each section; an MCU that Klipper has not met has none */
export function withVersions(
  sections: readonly Omit<PrinterCanNode, 'version'>[],
  status: Answer,
): readonly PrinterCanNode[] {
  return sections.map((node) => {
    const version = objectOrEmpty(status, node.section)['mcu_version'];
    return { ...node, version: typeof version === 'string' ? version : null };
  });
}
