// Hardware, port UsbDfuDevice: control transfers to one opened device, through the package usb (nusb).
import type { ControlSetup, UsbDeviceInfo, UsbDfuDevice } from '../ports/usb.ts';
import { textOf, usedAfterClose } from './system-error.ts';
import { DFU_INTERFACE, claimed, gone, refusal, requireNode, type UsbPlaces } from './usb-access.ts';
import type { NativeDevice, NativeSetup, NativeUsb } from './usb-native.ts';
import type { UsbTree } from './usb-tree.ts';

const NO_DATA = new Uint8Array(0);

/** Throws `device-gone`, `no-hardware` with the cure, or `busy` naming the holder. */
export async function openDfu(
  info: UsbDeviceInfo,
  places: UsbPlaces,
  load: () => Promise<NativeUsb>,
): Promise<UsbDfuDevice> {
  const node = await requireNode(info, places);
  const bus = Number.parseInt(info.busPath, 10);
  const usb = await load();
  const device = (await usb.nativeGetDevices()).find(
    (one) => one.address === info.deviceNumber && Number.parseInt(one.bus, 10) === bus,
  );
  if (device === undefined) throw gone(info);
  await device.open().catch(async (error: unknown) => {
    throw await refusal(info, node, error, places);
  });
  try {
    await device.claimInterface(DFU_INTERFACE);
    await device.selectAlternateInterface(DFU_INTERFACE, 0);
  } catch (error) {
    await giveBack(device);
    throw /busy/.test(textOf(error))
      ? await claimed(info, node, places)
      : await refusal(info, node, error, places);
  }
  return new OpenedDfu(info, device, places.tree);
}

class OpenedDfu implements UsbDfuDevice {
  readonly info: UsbDeviceInfo;
  readonly #device: NativeDevice;
  readonly #tree: UsbTree;
  /** The package would carry out several at once in threads of its own, in whatever order: here they take turns. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Whose turn has not come when this is raised is not sent. */
  #timeOuts = 0;
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

  #ask<T>(transfer: () => Promise<T>): Promise<T | 'stall' | 'timeout'> {
    const made = this.#timeOuts;
    const answer = this.#turn.then(async () => {
      if (made !== this.#timeOuts || this.#isClosed) return 'timeout';
      const own = await this.#perform(transfer);
      if (own === 'timeout') this.#timeOuts += 1;
      return own;
    });
    this.#turn = answer.catch(() => {});
    return answer;
  }

  async #perform<T>(transfer: () => Promise<T>): Promise<T | 'stall' | 'timeout'> {
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
