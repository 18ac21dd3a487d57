import { expect, test } from '@jest/globals';
import { run } from './world.ts';

test('the list is what it was', async () => {
  const { code, out } = await run(['virtual']);
  expect([code, out.includes('octopus-v1.1-f446')]).toEqual([0, true]);
});

test.each([
  [['virtual', 'serve', '--usbip', '70000'], 2, 'there is no port 70000'],
  [['virtual', 'serve', '--state', 'mint'], 2, 'mint'],
  [['virtual', 'serve', '--usb'], 2, '--usb'],
  [['virtual', 'serve', '--nodes', '33'], 2, '"33" toolheads'],
  [['canbus-query', '--nodes', '0', '--virtual', 'octopus-v1.1-f446'], 2, '"0" toolheads'],
  [['canbus-query', '--nodes', '8.5', '--virtual', 'octopus-v1.1-f446'], 2, '"8.5" toolheads'],
  [['canbus-query', '--nodes', '8'], 2, '--nodes is for a virtual board only'],
] as const)('%j is refused', async (args, code, words) => {
  const ran = await run(args);
  expect([ran.code, ran.err.includes(words)]).toEqual([code, true]);
});
