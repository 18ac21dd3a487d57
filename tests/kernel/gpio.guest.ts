// Runs in the guest: the contract of GpioHost on a USB expander that the stock kernel drives; the meter is on the host.
import { hardwareGpio } from '../../src/hardware/gpio.ts';
import { gpioContract, type GpioRig } from '../contract/gpio.ts';
import { askBench } from './bench-person.ts';

const chip = 'viperboard gpio a';
const meter = async () => (await askBench('meter')) as Awaited<ReturnType<NonNullable<GpioRig['meter']>>>;

for (const [name, force] of [
  ['character device', 'chardev'],
  ['sysfs', 'sysfs'],
] as const)
  gpioContract(`hardware, ${name}`, async () => ({
    host: hardwareGpio({ force }),
    pins: { boot0: `${chip}/gpio0`, nrst: `${chip}/gpio1` },
    meter,
    dispose: async () => {},
  }));
