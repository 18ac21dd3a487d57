// Contract: the virtual SerialPorts keeps to it.
import { createBench } from '../../src/virtual/bench.ts';
import { KLIPPERS, serialContract } from './serial.ts';

serialContract('virtual', async () => {
  const bench = await createBench();
  await bench.printer.stopKlipper();
  const tty = (await bench.usb.list()).find(({ ttyPath }) => ttyPath !== undefined);
  return {
    ports: bench.serial,
    path: tty?.ttyPath ?? '',
    ...KLIPPERS,
    pull: async () => {
      bench.unplug();
      await bench.clock.sleep(1000);
    },
    dispose: async () => bench.dispose(),
  };
});
