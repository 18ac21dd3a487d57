// Hardware, USB as the kernel tells it in /sys/bus/usb/devices: no device is opened and nothing goes over a cable.
// Linux Documentation/ABI/{stable,testing}/sysfs-bus-usb; the folder's names are the bus paths.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { OctopusError } from '../errors.ts';
import type { UsbDeviceInfo } from '../ports/usb.ts';
import { errnoOf } from './system-error.ts';

export const SYSFS_USB = '/sys/bus/usb/devices';

/** Bus, then the ports on the way; hubs of the host itself (`usb1`) and interfaces (`1-1:1.0`) are no devices here. */
const BUS_PATH = /^\d+-\d+(\.\d+)*$/;

type Unchanging = Omit<UsbDeviceInfo, 'ttyPath'>;

export class UsbTree {
  readonly root: string;
  /** What a visit of a device never changes is read once: the kernel locks the device to tell its strings. */
  readonly #known = new Map<string, Unchanging>();

  constructor(root = SYSFS_USB) {
    this.root = root;
  }

  /** Throws `no-hardware` where the kernel has no USB. */
  async list(): Promise<readonly UsbDeviceInfo[]> {
    const names = await this.#names();
    const interfaces = names.filter((name) => name.includes(':'));
    const paths = names.filter((name) => BUS_PATH.test(name));
    for (const path of this.#known.keys()) if (!paths.includes(path)) this.#known.delete(path);
    const found = await Promise.all(
      paths.map(async (path) => {
        const device = await this.#device(path);
        if (device === undefined) return [];
        const own = interfaces.filter((name) => name.startsWith(`${path}:`));
        const ttyPath = await this.#tty(own);
        return [ttyPath === undefined ? device : { ...device, ttyPath }];
      }),
    );
    return found.flat();
  }

  /** The number that the device at this path has now; undefined when none is there. */
  async deviceNumber(busPath: string): Promise<number | undefined> {
    const text = await this.#text(busPath, 'devnum');
    return text === undefined ? undefined : Number(text);
  }

  /** The kernel driver of an interface of configuration 1: `cdc_acm`; `usbfs` where a program has claimed it. */
  async driverOf(busPath: string, interfaceNumber: number): Promise<string | undefined> {
    const uevent = await this.#text(`${busPath}:1.${interfaceNumber}`, 'uevent');
    return /^DRIVER=(.+)$/m.exec(uevent ?? '')?.[1];
  }

  async #names(): Promise<readonly string[]> {
    try {
      return await readdir(this.root);
    } catch (error) {
      throw errnoOf(error) === 'ENOENT' ? noUsb(this.root) : error;
    }
  }

  async #device(path: string): Promise<Unchanging | undefined> {
    const deviceNumber = await this.deviceNumber(path);
    const before = this.#known.get(path);
    if (deviceNumber === undefined || before?.deviceNumber === deviceNumber)
      return deviceNumber === undefined ? undefined : before;
    const text = (file: string) => this.#text(path, file);
    const [vendor, productId, release] = [
      await text('idVendor'),
      await text('idProduct'),
      await text('bcdDevice'),
    ];
    const [manufacturer, product, serial] = [
      await text('manufacturer'),
      await text('product'),
      await text('serial'),
    ];
    // It went, or another came, while we looked.
    if (vendor === undefined || productId === undefined || release === undefined) return undefined;
    if ((await this.deviceNumber(path)) !== deviceNumber) return undefined;
    const device: Unchanging = {
      busPath: path,
      deviceNumber,
      vendorId: Number.parseInt(vendor, 16),
      productId: Number.parseInt(productId, 16),
      bcdDevice: Number.parseInt(release, 16),
      ...(manufacturer === undefined ? {} : { manufacturer }),
      ...(product === undefined ? {} : { product }),
      ...(serial === undefined ? {} : { serial }),
    };
    this.#known.set(path, device);
    return device;
  }

  /** Its driver makes the folder a moment after the device. */
  async #tty(interfaces: readonly string[]): Promise<string | undefined> {
    for (const name of interfaces) {
      const nodes = await readdir(join(this.root, name, 'tty')).catch((): string[] => []);
      const node = nodes.find((one) => /^ttyACM\d+$/.test(one));
      if (node !== undefined) return `/dev/${node}`;
    }
    return undefined;
  }

  async #text(path: string, file: string): Promise<string | undefined> {
    // A file that is not there is a string that the device does not have, or a device that has just gone.
    const text = await readFile(join(this.root, path, file), 'utf8').catch(() => undefined);
    return text?.replace(/\n$/, '');
  }
}

export function noUsb(root: string): OctopusError {
  return new OctopusError('no-hardware', `this host has no USB: looked in ${root}`, {
    place: root,
    advice:
      'Run it on the computer that the board hangs on; a container needs /sys and /dev/bus/usb of its host.',
  });
}
