// Runs in the guest: the contract of SerialPorts on the tty that cdc_acm makes of a board that runs Klipper.
import { existsSync } from 'node:fs';
import { hardwareSerial } from '../../src/hardware/serial.ts';
import { KLIPPERS, serialContract } from '../contract/serial.ts';
import { askBench, until } from './bench-person.ts';

const path = '/dev/ttyACM0';

serialContract('hardware, cdc_acm', async () => {
  await askBench('plug');
  await until('the tty', () => existsSync(path));
  return {
    ports: hardwareSerial(),
    path,
    ...KLIPPERS,
    pull: async () => void (await askBench('pull')),
    dispose: async () => {},
  };
});
