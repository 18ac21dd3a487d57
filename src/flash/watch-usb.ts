// Waiting for the USB bus to look a certain way: events first, and a look every 200 ms as a net
// (without udevd there are no events).
import type { UsbDeviceInfo } from '../ports/usb.ts';
import type { Kit } from './kit.ts';

const LOOK_EVERY_MS = 200;

/** What `look` finds first, or undefined after `timeoutMs`. Throws when `signal` is aborted. */
export async function waitForUsb<T>(
  kit: Pick<Kit, 'usb' | 'clock'>,
  look: (devices: readonly UsbDeviceInfo[]) => T | undefined,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<T | undefined> {
  const deadline = kit.clock.now() + timeoutMs;
  let changed = Promise.withResolvers<void>();
  const unsubscribe = kit.usb.onChange(() => changed.resolve());
  try {
    for (;;) {
      signal?.throwIfAborted();
      changed = Promise.withResolvers<void>();
      const found = look(await kit.usb.list());
      if (found !== undefined) return found;
      const leftMs = deadline - kit.clock.now();
      if (leftMs <= 0) return undefined;
      const nap = new AbortController();
      const either = signal === undefined ? nap.signal : AbortSignal.any([nap.signal, signal]);
      await Promise.race([
        changed.promise,
        kit.clock.sleep(Math.min(LOOK_EVERY_MS, leftMs), either).catch(() => {}),
      ]);
      nap.abort();
    }
  } finally {
    unsubscribe();
  }
}

/** Whether this visit of the device has ended, at the latest after `timeoutMs`. */
export async function waitUntilGone(
  kit: Pick<Kit, 'usb' | 'clock'>,
  device: UsbDeviceInfo,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const isGone = (now: readonly UsbDeviceInfo[]) =>
    now.some((one) => sameVisit(one, device)) ? undefined : true;
  return (await waitForUsb(kit, isGone, timeoutMs, signal)) === true;
}

/** The same visit of the same device: it has not been away since. */
export function sameVisit(a: UsbDeviceInfo, b: UsbDeviceInfo): boolean {
  return a.busPath === b.busPath && a.deviceNumber === b.deviceNumber;
}

export type UsbKind = 'romDfu' | 'klipper' | 'klipperBridge' | 'katapult';

/** The faces of a board on USB, by vendor and product id. */
const FACES: readonly { readonly kind: UsbKind; readonly vendorId: number; readonly productId: number }[] = [
  /** STM32 ROM bootloader, every family. */
  { kind: 'romDfu', vendorId: 0x0483, productId: 0xdf11 },
  /** Klipper src/Kconfig, USB_VENDOR_ID / USB_DEVICE_ID. */
  { kind: 'klipper', vendorId: 0x1d50, productId: 0x614e },
  /** Klipper's USB-CAN bridge, the id of candleLight's gs_usb. */
  { kind: 'klipperBridge', vendorId: 0x1d50, productId: 0x606f },
  /** Katapult src/Kconfig. */
  { kind: 'katapult', vendorId: 0x1d50, productId: 0x6177 },
];

/** Which face of a board this is, if any. */
export function usbKind(device: UsbDeviceInfo): UsbKind | undefined {
  return FACES.find(
    ({ vendorId, productId }) => device.vendorId === vendorId && device.productId === productId,
  )?.kind;
}
