// Hardware, port UsbDfuDevice: control transfers to one opened device, through the package usb (nusb).
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { OctopusError } from '../errors.ts';
import type { ControlSetup, UsbDeviceInfo, UsbDfuDevice } from '../ports/usb.ts';
import { errnoOf, textOf, usedAfterClose } from './system-error.ts';
import type { NativeDevice, NativeSetup, NativeUsb } from './usb-native.ts';
import type { UsbTree } from './usb-tree.ts';
import { sayHolders, whoHolds } from './who-holds.ts';

/** The DFU interface of every STM32's ROM, AN2606. */
const DFU_INTERFACE = 0;
const NO_DATA = new Uint8Array(0);

export interface UsbPlaces {
  readonly tree: UsbTree;
  /** Where device nodes are: /dev/bus/usb. */
  readonly nodes: string;
  readonly proc: string;
}

const threeDigits = (number: number) => String(number).padStart(3, '0');

/** Throws `device-gone`, `no-hardware` with the cure, or `busy` naming the holder. */
export async function openDfu(
  info: UsbDeviceInfo,
  { tree, nodes, proc }: UsbPlaces,
  load: () => Promise<NativeUsb>,
): Promise<UsbDfuDevice> {
  if ((await tree.deviceNumber(info.busPath)) !== info.deviceNumber) throw gone(info);
  const bus = Number.parseInt(info.busPath, 10);
  const node = join(nodes, threeDigits(bus), threeDigits(info.deviceNumber));
  await access(node, constants.R_OK | constants.W_OK).catch((error: unknown) => {
    throw noAccess(info, node, error);
  });
  const usb = await load();
  const device = (await usb.nativeGetDevices()).find(
    (one) => one.address === info.deviceNumber && Number.parseInt(one.bus, 10) === bus,
  );
  if (device === undefined) throw gone(info);
  await device.open().catch(async (error: unknown) => {
    throw await refusal(info, node, error, tree);
  });
  try {
    await device.claimInterface(DFU_INTERFACE);
    await device.selectAlternateInterface(DFU_INTERFACE, 0);
  } catch (error) {
    await giveBack(device);
    const driver = await tree.driverOf(info.busPath, DFU_INTERFACE);
    if (/busy/.test(textOf(error))) throw await claimed(info, node, driver, proc);
    throw await refusal(info, node, error, tree);
  }
  return new OpenedDfu(info, device, tree);
}

class OpenedDfu implements UsbDfuDevice {
  readonly info: UsbDeviceInfo;
  readonly #device: NativeDevice;
  readonly #tree: UsbTree;
  #isClosed = false;

  constructor(info: UsbDeviceInfo, device: NativeDevice, tree: UsbTree) {
    [this.info, this.#device, this.#tree] = [info, device, tree];
  }

  async controlOut(
    setup: ControlSetup,
    data: Uint8Array,
    timeoutMs: number,
  ): Promise<'ok' | 'stall' | 'timeout'> {
    this.#check();
    // The package takes no request without a data stage but one whose data is empty.
    const bytes = data.length === 0 ? NO_DATA : data.slice();
    const answer = await this.#ask(() =>
      this.#device.nativeControlTransferOut(plain(setup), timeoutMs, bytes),
    );
    return typeof answer === 'string' ? answer : 'ok';
  }

  async controlIn(
    setup: ControlSetup,
    length: number,
    timeoutMs: number,
  ): Promise<Uint8Array | 'stall' | 'timeout'> {
    this.#check();
    const answer = await this.#ask(() =>
      this.#device.nativeControlTransferIn(plain(setup), timeoutMs, length),
    );
    return answer === null ? 'stall' : answer;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await giveBack(this.#device);
  }

  async #ask<T>(transfer: () => Promise<T>): Promise<T | 'stall' | 'timeout'> {
    try {
      return await transfer();
    } catch (error) {
      const text = textOf(error);
      // nusb's TransferError in words (nusb src/transfer/mod.rs).
      if (/stalled/.test(text)) return 'stall';
      if (/cancelled/.test(text)) return 'timeout';
      // A fault on the wire is how the end of a device begins; where it stays, no answer came.
      const now = await this.#tree.deviceNumber(this.info.busPath);
      if (/fault/.test(text) && now === this.info.deviceNumber) return 'timeout';
      throw gone(this.info, error);
    }
  }

  #check(): void {
    if (this.#isClosed) throw usedAfterClose('a USB device');
  }
}

function plain({ type, recipient, request, value, index }: ControlSetup): NativeSetup {
  return { requestType: type, recipient, request, value, index };
}

/** Released first: closing alone keeps the interface claimed until the garbage is collected. */
async function giveBack(device: NativeDevice): Promise<void> {
  await device.releaseInterface(DFU_INTERFACE).catch(() => {});
  await device.close().catch(() => {});
}

function gone({ busPath }: UsbDeviceInfo, cause?: unknown): OctopusError {
  return new OctopusError('device-gone', `the USB device at ${busPath} is gone`, {
    place: `USB ${busPath}`,
    advice: 'Check the cable and the power of the board.',
    cause,
  });
}

function noAccess(info: UsbDeviceInfo, node: string, error: unknown): OctopusError {
  const what = `the USB device at ${info.busPath} cannot be opened`;
  const isMissing = errnoOf(error) === 'ENOENT';
  return new OctopusError(
    'no-hardware',
    `${what}: ${node}: ${isMissing ? 'no such file' : 'permission denied'}`,
    {
      place: node,
      advice: isMissing
        ? 'Wait a moment and try again; in a container, pass /dev/bus/usb of the host through.'
        : 'Install the udev rule: sudo cp systemd/70-octopus-flasher.rules /etc/udev/rules.d/ && sudo udevadm control --reload && sudo udevadm trigger; it lets in members of plugdev: sudo usermod -aG plugdev USER.',
      cause: error,
    },
  );
}

async function claimed(
  info: UsbDeviceInfo,
  node: string,
  driver: string | undefined,
  proc: string,
): Promise<OctopusError> {
  const isProgram = driver === undefined || driver === 'usbfs';
  // Our own open node is closed by now.
  const holder = isProgram ? sayHolders(await whoHolds(node, proc)) : `the kernel's driver ${driver}`;
  return new OctopusError('busy', `the USB device at ${info.busPath} is held by ${holder}`, {
    place: node,
    advice: isProgram
      ? 'End that program, then try again.'
      : 'It is not in DFU mode, or a wrong driver has taken it: pull the cable and plug it in again.',
  });
}

/** Throws nothing; what the package says is all that there is. */
async function refusal(
  info: UsbDeviceInfo,
  node: string,
  error: unknown,
  tree: UsbTree,
): Promise<OctopusError> {
  if ((await tree.deviceNumber(info.busPath)) !== info.deviceNumber) return gone(info, error);
  return new OctopusError(
    'no-hardware',
    `the USB device at ${info.busPath} cannot be opened: ${textOf(error)}`,
    {
      place: node,
      advice: 'Pull the cable and plug it in again; if it stays, look at what the kernel says: sudo dmesg.',
      cause: error,
    },
  );
}
