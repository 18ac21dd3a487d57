// Runs in the guest as root: what goes wrong with the tty of a board that runs Klipper, and the touch of 1200 baud.
import { expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { hardwareSerial } from '../../src/hardware/serial.ts';
import { askBench, until } from './bench-person.ts';
import { ours } from './faults-ours.ts';

const path = '/dev/ttyACM0';
const ports = hardwareSerial();

test('held by another program, which is named', async () => {
  await askBench('plug');
  await until('the tty', () => existsSync(path));
  // As Klipper's host does: flock.
  const holder = spawn('flock', ['--close', path, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  const busy = {
    code: 'busy',
    message: `${path} is held by process ${holder.pid} (flock)`,
    advice: `Stop process ${holder.pid} (flock) first.`,
    place: path,
  };
  expect(await ours(ports.open(path))).toEqual(busy);
  expect(await ours(hardwareSerial().touch1200(path))).toEqual(busy);
  holder.stdin.end();
  await once(holder, 'exit');
  await (await ports.open(path)).close();
});

test('no serial port at all', async () => {
  expect(await ours(ports.open('/dev/null'))).toEqual({
    code: 'no-hardware',
    message: '/dev/null is no serial port',
    advice: 'Name it as in printer.cfg: /dev/serial/by-id/...',
    place: '/dev/null',
  });
});

test('unplugged while it is open, for who reads and for who writes', async () => {
  const port = await ports.open(path);
  const reading = ours(port.read(30_000));
  await askBench('pull');
  const gone = {
    code: 'device-gone',
    message: `the device behind ${path} is gone`,
    advice: 'Check the cable and the power of the board.',
    place: path,
  };
  expect(await reading).toEqual(gone);
  expect(await ours(port.write(Uint8Array.of(0x7e)))).toEqual(gone);
  await port.close();
  await until('no tty', () => !existsSync(path));
  expect(await ours(ports.open(path))).toMatchObject({
    code: 'no-hardware',
    message: `${path} does not exist`,
  });
  await askBench('plug');
  await until('the tty again', () => existsSync(path));
});

test('the touch', async () => {
  await hardwareSerial().touch1200(path);
});
