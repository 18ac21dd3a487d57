// Runs in the guest: the contract of CanHost on the kernel's own interfaces, which the suite has made.
import { setTimeout as sleep } from 'node:timers/promises';
import { hardwareCan } from '../../src/hardware/can.ts';
import type { CanBus } from '../../src/ports/can.ts';
import { canContract } from '../contract/can.ts';

async function rig(up: string, down: string) {
  const host = hardwareCan();
  const opened: CanBus[] = [];
  return {
    host: {
      open: async (name: string) => {
        const bus = await host.open(name);
        opened.push(bus);
        return bus;
      },
    },
    up,
    down,
    settle: async () => sleep(200),
    // An open socket keeps the process alive.
    dispose: async () => {
      for (const bus of opened) await bus.close();
    },
  };
}

canContract('hardware, vcan', async () => rig('vcan0', 'vcan7'));
canContract('hardware, a controller', async () => rig('can0', 'vcan7'));
