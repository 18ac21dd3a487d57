// What sysfs tells of USB, in a tree made by hand after a real one (a Raspberry Pi 4 with an Octopus).
import { afterEach, expect, test } from '@jest/globals';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { UsbTree } from '../../src/hardware/usb-tree.ts';
import { cutTrees, fakeTree, plant } from './fake-tree.ts';

afterEach(cutTrees);

const device = (path: string, devnum: number, [vendor, product]: readonly [string, string], rest = {}) =>
  Object.fromEntries(
    Object.entries({
      devnum,
      busnum: 1,
      idVendor: vendor,
      idProduct: product,
      bcdDevice: '0100',
      ...rest,
    }).map(([file, value]) => [`${path}/${file}`, `${String(value)}\n`]),
  );
const ROM = device('1-1.2', 7, ['0483', 'df11'], {
  bcdDevice: '2200',
  manufacturer: 'STMicroelectronics',
  product: 'STM32  BOOTLOADER',
  serial: '325D366A3433',
});
const KLIPPER = device('1-1.3', 9, ['1d50', '614e'], {
  manufacturer: 'Klipper',
  product: 'stm32f446xx',
  serial: '2E0023000C51303432383230',
});
const HUB = {
  ...device('usb1', 1, ['1d6b', '0002']),
  '1-0:1.0/bInterfaceClass': '09\n',
  ...device('1-1', 2, ['2109', '3431']),
};

test('devices with their strings; hubs of the host and interfaces are none', async () => {
  const tree = new UsbTree(fakeTree({ ...HUB, ...ROM, '1-1.2:1.0/bInterfaceNumber': '00\n' }));
  expect(await tree.list()).toEqual([
    { busPath: '1-1', deviceNumber: 2, vendorId: 0x2109, productId: 0x3431, bcdDevice: 0x0100 },
    {
      busPath: '1-1.2',
      deviceNumber: 7,
      vendorId: 0x0483,
      productId: 0xdf11,
      bcdDevice: 0x2200,
      manufacturer: 'STMicroelectronics',
      product: 'STM32  BOOTLOADER',
      serial: '325D366A3433',
    },
  ]);
});

test('the tty of any interface, as soon as its driver has made it', async () => {
  const root = fakeTree({ ...KLIPPER, '1-1.3:1.0/bInterfaceNumber': '00\n', '1-1.3:1.1/x': '' });
  const tree = new UsbTree(root);
  expect((await tree.list())[0]?.ttyPath).toBeUndefined();
  plant(root, { '1-1.3:1.0/tty/ttyACM3/dev': '166:3\n' });
  expect((await tree.list())[0]?.ttyPath).toBe('/dev/ttyACM3');
  rmSync(join(root, '1-1.3:1.0/tty'), { recursive: true });
  expect((await tree.list())[0]?.ttyPath).toBeUndefined();
});

test('1-1 is not 1-1.3, and 1-1 is not 1-10', async () => {
  const root = fakeTree({
    ...HUB,
    ...KLIPPER,
    ...device('1-10', 12, ['1', '2']),
    '1-1.3:1.0/tty/ttyACM0/dev': '',
  });
  const list = await new UsbTree(root).list();
  expect(list.map(({ busPath, ttyPath }) => [busPath, ttyPath])).toEqual([
    ['1-1', undefined],
    ['1-1.3', '/dev/ttyACM0'],
    ['1-10', undefined],
  ]);
});

test('strings are read once a visit; another number is another visit', async () => {
  const root = fakeTree(ROM);
  const tree = new UsbTree(root);
  await tree.list();
  plant(root, { '1-1.2/product': 'changed\n' });
  expect((await tree.list())[0]?.product).toBe('STM32  BOOTLOADER');
  plant(root, { '1-1.2/devnum': '8\n' });
  expect((await tree.list())[0]).toMatchObject({ deviceNumber: 8, product: 'changed' });
  rmSync(join(root, '1-1.2'), { recursive: true });
  expect(await tree.list()).toEqual([]);
  plant(root, { ...ROM, '1-1.2/devnum': '8\n', '1-1.2/product': 'third\n' });
  expect((await tree.list())[0]?.product).toBe('third');
});

test('what is just going is not there', async () => {
  const { '1-1.2/idProduct': _gone, ...half } = ROM;
  expect(await new UsbTree(fakeTree(half)).list()).toEqual([]);
});

test('the driver of an interface', async () => {
  const tree = new UsbTree(
    fakeTree({ ...KLIPPER, '1-1.3:1.0/uevent': 'DEVTYPE=usb_interface\nDRIVER=cdc_acm\nPRODUCT=1\n' }),
  );
  expect(await tree.driverOf('1-1.3', 0)).toBe('cdc_acm');
  expect(await tree.driverOf('1-1.3', 1)).toBeUndefined();
});

test('a kernel without USB: no-hardware, and where it was looked for', async () => {
  const root = join(fakeTree({}), 'bus/usb/devices');
  await expect(new UsbTree(root).list()).rejects.toMatchObject({
    code: 'no-hardware',
    message: `this host has no USB: looked in ${root}`,
    place: root,
  });
});
