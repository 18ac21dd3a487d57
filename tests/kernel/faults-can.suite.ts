// Faults of CAN in the kernel's own words: the stock gs_usb driver with an adapter and one node behind it on the host.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { serveAdapter, type ServedAdapter } from './faults-adapter.ts';
import { Guest, usbRedir } from './guest.ts';
import { testsInGuest } from './guest-tests.ts';
import { waitForUsb } from './usb.ts';

let guest: Guest;
let adapter: ServedAdapter;
beforeAll(async () => {
  adapter = await serveAdapter();
  guest = await Guest.boot({
    modules: ['xhci_pci', 'gs_usb', 'vcan', 'can_raw'],
    devices: usbRedir(adapter.socket),
    network: true,
  });
  await waitForUsb(guest, '1d50:606f');
  const { code, stderr } = await guest.sh(`ip link add dev vcan0 type vcan && ip link set vcan0 up
    until [ -e /sys/class/net/can0 ]; do sleep 0.05; done`);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});
afterAll(async () => {
  await guest?.stop();
  await adapter?.close();
});

test('absent, down, alone, a full queue, a wrong bitrate, bus-off, gone', async () => {
  expect(await testsInGuest(guest, 'tests/kernel/faults-can.guest.ts', { env: adapter.env })).toBe(9);
});
