// Faults of USB, serial and GPIO in the kernel's own words: boards are pulled, held by others and closed to the user on
// the stock kernel, and each ends as an error of ours with its cure.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Guest, usbRedir } from './guest.ts';
import { testsInGuest } from './guest-tests.ts';
import { serveBoard, type ServedBoard } from './served-board.ts';
import { waitForUsb } from './usb.ts';

/** DFU 1.1, table 3.2. */
const [DNLOAD, GETSTATUS, ABORT] = [1, 3, 6];
/** The DNLOAD block from which the guest's test wants the ROM to be silent, until an ABORT. */
const SILENCE = 0x777;
/** USB PSTN 1.2, table 13. */
const [SET_LINE_CODING, SET_CONTROL_LINE_STATE] = [0x20, 0x22];

let guest: Guest;
let klipper: ServedBoard;
let bare: ServedBoard;
const line: string[] = [];

beforeAll(async () => {
  klipper = await serveBoard();
  bare = await serveBoard({ state: 'bricked', lines: { jumperFitted: true } });
  let isSilent = false;
  bare.bench.faults.beforeTransfer = (_n, { bRequest, wValue }) => {
    if (bRequest === DNLOAD && wValue === SILENCE) isSilent = true;
    if (bRequest === ABORT) isSilent = false;
    return isSilent && (bRequest === DNLOAD || bRequest === GETSTATUS) ? 'timeout' : undefined;
  };
  klipper.bench.faults.beforeTransfer = (_n, { bmRequestType, bRequest, wValue }, data) => {
    if (bmRequestType === 0x21 && bRequest === SET_LINE_CODING)
      line.push(`${Buffer.from(data).readUInt32LE()} baud`);
    if (bmRequestType === 0x21 && bRequest === SET_CONTROL_LINE_STATE)
      line.push((wValue & 1) === 0 ? 'DTR falls' : 'DTR rises');
    return undefined;
  };
  guest = await Guest.boot({
    modules: ['xhci_pci', 'cdc_acm', 'viperboard', 'gpio_viperboard'],
    devices: usbRedir(klipper.sockets.board, klipper.sockets.gpio, bare.sockets.board),
    udev: true,
    network: true,
  });
  for (const id of ['1d50:614e', '0483:df11', '2058:1005']) await waitForUsb(guest, id);
  await guest.run(['udevadm', 'settle']);
});
afterAll(async () => {
  await guest?.stop();
  await klipper?.close();
  await bare?.close();
});

const printer = (may: 'yes' | 'no', ...groups: string[]) =>
  testsInGuest(guest, 'tests/kernel/faults-printer.guest.ts', {
    user: 'printer',
    groups,
    env: { MAY: may },
  });

test.each(['usbfs', 'usb'])(
  'USB by %s: time-out, unplugged in a transfer, claimed by a program and by a driver',
  async (way) => {
    const env = { ...bare.env, OCTOPUS_USB: way };
    expect(await testsInGuest(guest, 'tests/kernel/faults-usb.guest.ts', { env })).toBe(4);
  },
);

test('serial: held, none, unplugged while open', async () => {
  expect(await testsInGuest(guest, 'tests/kernel/faults-serial.guest.ts', { env: klipper.env })).toBe(4);
});

test('the touch is 1200 baud, then DTR falls: Klipper obeys, and the ROM comes; reset brings it back', async () => {
  const { bench } = klipper;
  while (bench.board.running.kind !== 'rom') await bench.clock.sleep(5);
  // The last words of the run before: none from the ROM, which has no line.
  expect(line.slice(-2)).toEqual(['1200 baud', 'DTR falls']);
  await bench.settle();
  await bench.pressReset();
  await waitForUsb(guest, '1d50:614e');
});

test('GPIO: lines of others, and a chip that is pulled', async () => {
  expect(await testsInGuest(guest, 'tests/kernel/faults-gpio.guest.ts', { env: klipper.env })).toBe(4);
  expect(klipper.bench.electricalFaults).toEqual([]);
});

test('an unprivileged user: refused by name and cure, let in by our udev rule and only with its group', async () => {
  await waitForUsb(guest, '0483:df11');
  expect(await printer('no')).toBe(4);
  const { code, stderr } = await guest.sh(`set -e
    cp systemd/70-octopus-flasher.rules /etc/udev/rules.d/
    udevadm control --reload
    udevadm trigger --subsystem-match=usb
    udevadm settle`);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(await printer('no')).toBe(4);
  expect(await printer('yes', 'plugdev', 'dialout')).toBe(2);
});

test('no udevd', async () => {
  expect(
    (await guest.sh('udevadm control --exit; while pgrep systemd-udevd; do sleep 0.05; done')).code,
  ).toBe(0);
  expect(await testsInGuest(guest, 'tests/kernel/faults-no-udev.guest.ts', { env: bare.env })).toBe(2);
});
