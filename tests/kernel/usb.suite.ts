// USB in the guest by stock parts alone: a device of QEMU's is exported and attached again over USB/IP, and the ways
// from the host in (usbredir's sockets, TCP) are open. What needs a virtual board has suites of its own.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Guest, HOST_ADDRESS, usbRedir } from './guest.ts';
import { attachUsbIp, waitForUsb } from './usb.ts';

const TABLET = '0627:0001';
const folder = mkdtempSync(join(tmpdir(), 'octopus-redir-'));
let guest: Guest;
beforeAll(async () => {
  guest = await Guest.boot({
    modules: ['xhci_pci', 'vhci_hcd', 'usbip_host', 'gpio_viperboard', 'gs_usb', 'cdc_acm'],
    devices: [...usbRedir(join(folder, 'redir')), '-device', 'usb-tablet,bus=xhci.0'],
    udev: true,
    network: true,
  });
});
afterAll(async () => {
  await guest?.stop();
  rmSync(folder, { recursive: true });
});

test('attached over USB/IP, seen by lsusb, and gone when detached', async () => {
  await waitForUsb(guest, TABLET);
  const bound = await guest.sh(`set -e
    device=$(dirname "$(grep -l 0627 /sys/bus/usb/devices/*/idVendor)")
    usbipd -D
    usbip bind -b \${device##*/} >&2
    echo \${device##*/}`);
  expect(bound).toMatchObject({ code: 0 });
  await attachUsbIp(guest, { busId: bound.stdout.trim(), host: '127.0.0.1' });
  await waitForUsb(guest, TABLET, 2);
  expect((await guest.run(['usbip', 'port'])).stdout).toContain('<Port in Use>');
  expect((await guest.run(['lsusb', '-v', '-d', TABLET])).stdout).toMatch(/iProduct.*QEMU USB Tablet/);
  await guest.run(['usbip', 'detach', '-p', '0']);
  await waitForUsb(guest, TABLET, 1);
});

test("a server on the host's loopback is reached from the guest", async () => {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const { stdout } = await guest.sh(`busybox nc ${HOST_ADDRESS} ${port}`, { input: 'to the host and back' });
  server.close();
  expect(stdout).toBe('to the host and back');
});

test('udevd is there and has named nothing that is not', async () => {
  expect((await guest.run(['pgrep', '-c', 'systemd-udevd'])).code).toBe(0);
  expect((await guest.sh('udevadm info -q property /dev/bus/usb/001/001')).stdout).toContain(
    'ID_VENDOR_ID=1d6b',
  );
});

test('QEMU asks at the usbredir socket, so a board may be plugged in while the guest runs', async () => {
  const server = createServer().listen(join(folder, 'redir'));
  const [socket] = await once(server, 'connection');
  const [hello] = await once(socket, 'data');
  socket.destroy();
  server.close();
  expect(hello.toString('latin1')).toContain('qemu usb-redir guest');
});
