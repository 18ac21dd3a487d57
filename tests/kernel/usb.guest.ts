// Runs in the guest: the contract of UsbBus on the kernel's own USB, where a board without firmware is plugged in; by
// both ways of transfers.
import { setTimeout as sleep } from 'node:timers/promises';
import { HardwareUsb } from '../../src/hardware/usb.ts';
import { usbContract } from '../contract/usb.ts';
import { askBench, until } from './bench-person.ts';

const rigFor = (force: string) => async () => {
  const bus = new HardwareUsb({ force });
  const isThere = async () => (await bus.list()).some(({ productId }) => productId === 0xdf11);
  const rig = {
    bus,
    plug: async () => {
      await askBench('plug');
      await until('the ROM on the bus', isThere);
    },
    pull: async () => {
      await askBench('pull');
      await until('the ROM gone', async () => !(await isThere()));
    },
    settle: async () => sleep(1000),
    dispose: async () => rig.pull(),
  };
  await rig.pull();
  return rig;
};

usbContract('hardware, usbfs', rigFor('usbfs'));
usbContract('hardware, the package usb', rigFor('usb'));
