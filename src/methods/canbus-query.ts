// octopus.canbus_query
import { asOctopusError } from '../errors.ts';
import { takeCensus } from '../flash/bus-census.ts';
import { aloneOnBus } from '../flash/bus-lock.ts';
import { askUnassigned } from '../flash/canbus-query.ts';
import { refuseWhileWorking } from '../flash/gate.ts';
import type { Kit } from '../flash/kit.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import { interfaceName } from './can-node.ts';
import { busNotes } from './canbus-notes.ts';
import { defineMethod } from './method.ts';

export const canbusQuery = defineMethod({
  name: 'octopus.canbus_query',
  summary: 'who is on a CAN bus: nodes without an id by asking them, the others from printer.cfg and USB',
  needs: 'board',
  parameters: { interface: interfaceName },
  async run({ kit }, { interface: name }, _report, signal) {
    return aloneOnBus(kit, { interfaceName: name }, async () => {
      const { state, known } = await askPrinter(kit);
      const answers = await askUnassigned(kit, name, signal);
      const census = takeCensus(name, answers, known, await devicesOf(kit));
      const here = known.filter(({ interfaceName: one }) => one === name);
      const { nodes, usb } = census;
      return { interface: name, nodes, usb, notes: busNotes(name, state, answers, here, census) };
    });
  },
});

async function askPrinter({ printer }: Pick<Kit, 'printer'>) {
  const reading = await printer.read();
  refuseWhileWorking(reading, 'the query can disturb the CAN bus');
  // Without a printer there is no printer.cfg.
  const known = reading.state === 'absent' ? [] : await printer.canNodes();
  return { state: reading.state, known };
}

/** A host without USB has its bus by other means. */
async function devicesOf({ usb }: Pick<Kit, 'usb'>): Promise<readonly UsbDeviceInfo[]> {
  return usb.list().catch((error: unknown) => {
    if (asOctopusError(error).code === 'no-hardware') return [];
    throw error;
  });
}
