// Contract: the virtual GpioHost keeps to it.
import { createBench } from '../../src/virtual/bench.ts';
import { gpioContract } from './gpio.ts';

gpioContract('virtual', async () => {
  const bench = await createBench();
  const pins = { boot0: 'gpio26', nrst: 'gpio19' };
  return {
    host: bench.gpio,
    pins,
    meter: async () => ({ boot0: bench.gpio.drive(pins.boot0), nrst: bench.gpio.drive(pins.nrst) }),
    dispose: async () => bench.dispose(),
  };
});
