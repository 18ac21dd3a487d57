// Runs in the guest, where udevd has ended: who comes and who leaves is told by the kernel, or seen by looks alone.
import { expect, test } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadLibc } from '../../src/hardware/libc.ts';
import { loadUsb, type NativeEmitter } from '../../src/hardware/usb-native.ts';
import { hearKernel } from '../../src/hardware/usb-uevents.ts';
import { HardwareUsb } from '../../src/hardware/usb.ts';
import type { UsbChange } from '../../src/ports/usb.ts';
import { DFU_REQUEST, dfuSetup } from '../../src/protocol/dfu.ts';
import { askBench, until } from './bench-person.ts';

test('no udevd, by the package usb: each change is told once and in order, and the board is opened', async () => {
  let events = 0;
  const bus = new HardwareUsb({
    force: 'usb',
    load: async () => {
      const native = await loadUsb();
      class Counted implements NativeEmitter {
        readonly #own = new native.Emitter();
        addAttach = (callback: () => void) => this.#own.addAttach(() => (events++, callback()));
        addDetach = (callback: () => void) => this.#own.addDetach(() => (events++, callback()));
        removeAttach = () => this.#own.removeAttach();
        removeDetach = () => this.#own.removeDetach();
      }
      return { nativeGetDevices: () => native.nativeGetDevices(), Emitter: Counted };
    },
  });
  const heard: UsbChange[] = [];
  const roms = () => heard.filter(({ device }) => device.productId === 0xdf11);
  await askBench('plug');
  await until('the ROM', async () => (await bus.list()).some(({ productId }) => productId === 0xdf11));
  const stop = bus.onChange((change) => heard.push(change));
  // The first look is what all others are compared with.
  await sleep(1000);
  await askBench('pull');
  await until('the ROM told as gone', () => roms().length === 1);
  await askBench('plug');
  await until('the ROM told as come', () => roms().length === 2);
  expect(roms().map(({ kind }) => kind)).toEqual(['left', 'arrived']);
  const rom = roms()[1]?.device;
  if (rom === undefined) throw new Error('it was told');
  const device = await bus.openDfu(rom);
  expect((await device.controlIn(dfuSetup(DFU_REQUEST.getStatus, 0), 6, 5000)).length).toBe(6);
  await device.close();
  stop();
  expect(events).toBe(0);
});

test('no udevd: the kernel itself tells who left and who came', async () => {
  const libc = await loadLibc();
  if (typeof libc === 'string') throw new Error(libc);
  const bus = new HardwareUsb();
  const isThere = async () => (await bus.list()).some(({ productId }) => productId === 0xdf11);
  await askBench('plug');
  await until('the ROM', isThere);
  const seen: boolean[] = [];
  const deafen = hearKernel(libc, () => void isThere().then((there) => seen.push(there)));
  await askBench('pull');
  await until('the ROM told as gone', () => seen.length === 1);
  await askBench('plug');
  await until('the ROM told as come', () => seen.length === 2);
  // When it is told it has happened.
  expect(seen).toEqual([false, true]);
  deafen();
});
