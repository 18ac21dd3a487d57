import { describe, expect, test } from '@jest/globals';
import { sameVisit, usbKind, waitForUsb } from '../../src/flash/watch-usb.ts';
import type { UsbBus, UsbChange, UsbDeviceInfo } from '../../src/ports/usb.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';

const ROM: UsbDeviceInfo = {
  busPath: '1-1.2',
  deviceNumber: 7,
  vendorId: 0x0483,
  productId: 0xdf11,
  bcdDevice: 0x2200,
};

const findRom = (devices: readonly UsbDeviceInfo[]) => devices.find((device) => usbKind(device) === 'romDfu');

/** A bus that shows the ROM from `arrivesAtMs` on and tells of it, or does not. */
function busWith(arrivesAtMs: number, tells: boolean) {
  const clock = new VirtualClock();
  const listeners = new Set<(change: UsbChange) => void>();
  const looksAt: number[] = [];
  const usb: Pick<UsbBus, 'list' | 'onChange'> = {
    list: async () => {
      looksAt.push(clock.now());
      return clock.now() >= arrivesAtMs ? [ROM] : [];
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const tell = async (atMs: number): Promise<void> => {
    await clock.sleep(atMs);
    for (const listener of listeners) listener({ kind: 'arrived', device: ROM });
  };
  if (tells) void tell(arrivesAtMs);
  const kit = { clock, usb: usb as UsbBus };
  return { kit, clock, listeners, looksAt, tell };
}

function expectNothingLeft({ clock, listeners }: ReturnType<typeof busWith>): void {
  expect(listeners.size).toBe(0);
  expect(clock.sleepers).toBe(0);
}

test('what is there already is found at once', async () => {
  const bus = busWith(0, false);
  expect(await waitForUsb(bus.kit, findRom, 0)).toBe(ROM);
  expect(bus.clock.now()).toBe(0);
  expectNothingLeft(bus);
});

test('an event beats the look', async () => {
  const bus = busWith(130, true);
  expect(await waitForUsb(bus.kit, findRom, 10_000)).toBe(ROM);
  expect(bus.clock.now()).toBe(130);
  expect(bus.looksAt).toEqual([0, 130]);
  expectNothingLeft(bus);
});

test('without events it looks every 200 ms', async () => {
  const bus = busWith(530, false);
  expect(await waitForUsb(bus.kit, findRom, 10_000)).toBe(ROM);
  expect(bus.looksAt).toEqual([0, 200, 400, 600]);
  expectNothingLeft(bus);
});

test('an event about something else does not end it, nor lengthen it', async () => {
  const bus = busWith(Infinity, false);
  void bus.tell(150);
  void bus.tell(160);
  expect(await waitForUsb(bus.kit, findRom, 500)).toBeUndefined();
  expect(bus.clock.now()).toBe(500);
  expect(bus.looksAt).toEqual([0, 150, 160, 360, 500]);
  expectNothingLeft(bus);
});

test.each([0, 1, 199, 200, 201, 450])('%d ms and no longer', async (timeoutMs) => {
  const bus = busWith(Infinity, false);
  expect(await waitForUsb(bus.kit, findRom, timeoutMs)).toBeUndefined();
  expect(bus.clock.now()).toBe(timeoutMs);
  expectNothingLeft(bus);
});

test('the last look is at the very end', async () => {
  const bus = busWith(450, false);
  expect(await waitForUsb(bus.kit, findRom, 450)).toBe(ROM);
});

test('an event while it looks is not lost', async () => {
  const bus = busWith(Infinity, false);
  let looks = 0;
  const look = (): string | undefined => {
    looks++;
    // It comes after the list was read and before anybody sleeps.
    if (looks === 1) for (const listener of bus.listeners) listener({ kind: 'arrived', device: ROM });
    return looks === 2 ? 'found' : undefined;
  };
  expect(await waitForUsb(bus.kit, look, 10_000)).toBe('found');
  expect(bus.clock.now()).toBe(0);
  expectNothingLeft(bus);
});

describe('cancelled', () => {
  test('before it began', async () => {
    const bus = busWith(0, false);
    const wait = waitForUsb(bus.kit, findRom, 1000, AbortSignal.abort());
    await expect(wait).rejects.toMatchObject({ name: 'AbortError' });
    expect(bus.looksAt).toEqual([]);
    expectNothingLeft(bus);
  });

  test('while it waits: at once', async () => {
    const bus = busWith(Infinity, false);
    const cancel = new AbortController();
    const wait = waitForUsb(bus.kit, findRom, 10_000, cancel.signal);
    const abort = async (): Promise<void> => {
      await bus.clock.sleep(250);
      cancel.abort();
    };
    void abort();
    await expect(wait).rejects.toMatchObject({ name: 'AbortError' });
    expect(bus.clock.now()).toBe(250);
    expectNothingLeft(bus);
  });
});

test('a look that throws ends it, and nothing is left behind', async () => {
  const bus = busWith(0, false);
  const wait = waitForUsb(
    bus.kit,
    () => {
      throw new Error('two of them');
    },
    1000,
  );
  await expect(wait).rejects.toThrow('two of them');
  expectNothingLeft(bus);
});

test('the same visit is the same path and the same number', () => {
  expect(sameVisit(ROM, { ...ROM, bcdDevice: 1 })).toBe(true);
  expect(sameVisit(ROM, { ...ROM, deviceNumber: 8 })).toBe(false);
  expect(sameVisit(ROM, { ...ROM, busPath: '1-1.3' })).toBe(false);
});

test.each([
  [0x0483, 0xdf11, 'romDfu'],
  [0x1d50, 0x614e, 'klipper'],
  [0x1d50, 0x606f, 'klipperBridge'],
  [0x1d50, 0x6177, 'katapult'],
  [0x0483, 0x5740, undefined],
  [0x046d, 0xdf11, undefined],
])('%#. %d:%d is %s', (vendorId, productId, kind) => {
  expect(usbKind({ ...ROM, vendorId, productId })).toBe(kind);
});
