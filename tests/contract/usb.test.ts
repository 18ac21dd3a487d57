// Contract: the virtual UsbBus keeps to it.
import { createBench } from '../../src/virtual/bench.ts';
import { usbContract } from './usb.ts';

usbContract('virtual', async () => {
  const bench = await createBench({ state: 'bricked', lines: { jumperFitted: true } });
  bench.unplug();
  await bench.clock.sleep(2000);
  return {
    bus: bench.usb,
    plug: async () => {
      bench.replug();
      await bench.clock.sleep(3000);
    },
    pull: async () => {
      bench.unplug();
      await bench.clock.sleep(2000);
    },
    settle: () => bench.clock.sleep(500),
    dispose: async () => bench.dispose(),
  };
});
