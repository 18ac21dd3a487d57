// The ports' contracts on the kernel's own USB, tty and GPIO, with virtual boards behind them on the host.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Guest, usbRedir } from './guest.ts';
import { testsInGuest } from './guest-tests.ts';
import { serveBoard, type ServedBoard } from './served-board.ts';
import { waitForUsb } from './usb.ts';

let guest: Guest;
let klipper: ServedBoard;
let bare: ServedBoard;
beforeAll(async () => {
  klipper = await serveBoard();
  bare = await serveBoard({ state: 'bricked', lines: { jumperFitted: true } });
  guest = await Guest.boot({
    modules: ['xhci_pci', 'cdc_acm', 'viperboard', 'gpio_viperboard'],
    devices: usbRedir(klipper.sockets.board, klipper.sockets.gpio, bare.sockets.board),
    udev: true,
    network: true,
  });
});
afterAll(async () => {
  await guest?.stop();
  await klipper?.close();
  await bare?.close();
});

test('the kernel sees both boards and the expander', async () => {
  await waitForUsb(guest, '1d50:614e');
  await waitForUsb(guest, '0483:df11');
  await waitForUsb(guest, '2058:1005');
  expect((await guest.run(['gpiodetect'])).stdout).toContain('[viperboard gpio a] (16 lines)');
});

test('SerialPorts on hardware keeps its contract', async () => {
  expect(await testsInGuest(guest, 'tests/kernel/serial.guest.ts', { env: klipper.env })).toBe(9);
});

test('UsbBus on hardware keeps its contract, by usbfs and by the package usb', async () => {
  expect(await testsInGuest(guest, 'tests/kernel/usb.guest.ts', { env: bare.env })).toBe(24);
});

test('GpioHost on hardware keeps its contract, by the character device and by sysfs', async () => {
  expect(await testsInGuest(guest, 'tests/kernel/gpio.guest.ts', { env: klipper.env })).toBe(26);
});
