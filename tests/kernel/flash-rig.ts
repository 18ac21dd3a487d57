// What the suites of the whole walk share: a guest with the served board and its expander, and images for it.
import { expect } from '@jest/globals';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { forgeKlipper, type KlipperTransport } from '../../src/virtual/forge.ts';
import { Guest, usbRedir } from './guest.ts';
import { serveBoard, type ServedBoard } from './served-board.ts';
import { waitForUsb } from './usb.ts';

export const APP = 0x0800_8000;
export const ROM = '0483:df11';
export const KLIPPER = '1d50:614e';
export const BRIDGE = '1d50:606f';
/** BOOT0 high, one pulse into the ROM, one pulse out of it with BOOT0 floating. */
export const ONE_VISIT = [
  'boot0 high',
  'nrst low',
  'nrst floating',
  'boot0 floating',
  'nrst low',
  'nrst floating',
];

let count = 0;
/** Another one each time, so that there is always something to be written. */
export function nextKlipper(transport: KlipperTransport = 'usb') {
  count += 1;
  const version = `v0.13.0-${700 + count}`;
  return { version, image: forgeKlipper({ mcu: 'stm32f446xx', version, transport, seed: 100 + count }) };
}

export interface FlashRig {
  readonly served: ServedBoard;
  /** Another one after a power cut of the host. */
  guest: Guest;
  /** No short was made, nothing is left driven. */
  expectPeace(): void;
  end(): Promise<void>;
}

/** A host with this board on its USB. */
export function bootGuest({ sockets }: ServedBoard): Promise<Guest> {
  return Guest.boot({
    modules: ['xhci_pci', 'cdc_acm', 'gs_usb', 'can_raw', 'viperboard', 'gpio_viperboard'],
    devices: usbRedir(sockets.board, sockets.gpio),
    udev: true,
  });
}

/** @param shows what the board is on USB at the beginning */
export async function bootFlashRig(options: BenchOptions = {}, shows = KLIPPER): Promise<FlashRig> {
  const served = await serveBoard(options);
  const { gpio } = served.bench;
  let guest: Guest | undefined;
  try {
    guest = await bootGuest(served);
    await waitForUsb(guest, shows);
  } catch (error) {
    await guest?.stop();
    await served.close();
    throw error;
  }
  const rig: FlashRig = {
    served,
    guest,
    expectPeace: () => {
      expect(served.bench.electricalFaults).toEqual([]);
      expect([gpio.drive('gpio26'), gpio.drive('gpio19')]).toEqual(['floating', 'floating']);
    },
    end: async () => {
      await rig.guest.stop();
      await served.close();
    },
  };
  return rig;
}
