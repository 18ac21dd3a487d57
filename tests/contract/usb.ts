// Contract: what every UsbBus keeps to, and the device that it opens. A function, so that it also runs on real USB.
import { afterEach, describe, expect, test } from '@jest/globals';
import type { ControlSetup, UsbBus, UsbChange, UsbDeviceInfo } from '../../src/ports/usb.ts';

export interface UsbRig {
  readonly bus: UsbBus;
  /** Plugs in a device in DFU mode and resolves when the host has it. */
  readonly plug: () => Promise<void>;
  /** Pulls it out; resolves when the host knows. */
  readonly pull: () => Promise<void>;
  /** Resolves when every event of what happened before has been told. */
  readonly settle: () => Promise<void>;
  dispose(): Promise<void>;
}

const ROM = { vendorId: 0x0483, productId: 0xdf11 };
const TIMEOUT_MS = 5000;
// USB 2.0, 9.4.3: the device descriptor is 18 bytes.
const DEVICE_DESCRIPTOR: ControlSetup = {
  type: 'standard',
  recipient: 'device',
  request: 6,
  value: 0x0100,
  index: 0,
};
// DFU 1.1, 6.1.2.
const GETSTATUS: ControlSetup = { type: 'class', recipient: 'interface', request: 3, value: 0, index: 0 };
// USB 2.0, 9.4.10: alternate setting 0 of interface 0.
const SET_INTERFACE: ControlSetup = {
  type: 'standard',
  recipient: 'interface',
  request: 11,
  value: 0,
  index: 0,
};
const NO_REQUEST: ControlSetup = { type: 'class', recipient: 'interface', request: 0x55, value: 0, index: 0 };
const NOTHING = new Uint8Array(0);

export function usbContract(name: string, make: () => Promise<UsbRig>): void {
  describe(`UsbBus: ${name}`, () => {
    const rigs: UsbRig[] = [];
    afterEach(async () => {
      for (const rig of rigs.splice(0)) await rig.dispose();
    });
    const setUp = async () => {
      const rig = await make();
      rigs.push(rig);
      await rig.plug();
      return rig;
    };
    const theRom = async (bus: UsbBus): Promise<UsbDeviceInfo> => {
      const found = (await bus.list()).find(
        ({ vendorId, productId }) => vendorId === ROM.vendorId && productId === ROM.productId,
      );
      if (found === undefined) throw new Error('no device in DFU mode is on the bus');
      return found;
    };

    test('the list tells a device as its descriptor does', async () => {
      const { bus } = await setUp();
      const rom = await theRom(bus);
      expect(rom).toMatchObject({
        busPath: expect.stringMatching(/^\d+-\d+(\.\d+)*$/),
        manufacturer: 'STMicroelectronics',
        product: expect.stringMatching(/^STM32 {2}BOOTLOADER$/),
        serial: expect.stringMatching(/^[0-9A-Za-z]{12}$/),
        bcdDevice: 0x2200,
      });
      expect(rom.ttyPath).toBeUndefined();
      expect(Number.isInteger(rom.deviceNumber)).toBe(true);
    });

    test('who comes again comes to the same place, with another number', async () => {
      const { bus, pull, plug } = await setUp();
      const first = await theRom(bus);
      await pull();
      expect((await bus.list()).map(({ busPath }) => busPath)).not.toContain(first.busPath);
      await plug();
      const second = await theRom(bus);
      expect(second.busPath).toBe(first.busPath);
      expect(second.deviceNumber).not.toBe(first.deviceNumber);
    });

    test('listeners hear who left and who came, each once and in order, until they stop listening', async () => {
      const { bus, pull, plug, settle } = await setUp();
      const heard: UsbChange[] = [];
      const deaf: UsbChange[] = [];
      const stop = bus.onChange((change) => heard.push(change));
      bus.onChange((change) => deaf.push(change))();
      const first = await theRom(bus);
      await settle();
      await pull();
      await settle();
      await plug();
      await settle();
      stop();
      const second = await theRom(bus);
      await pull();
      await settle();
      expect(
        heard.map(({ kind, device: { busPath, deviceNumber } }) => [kind, busPath, deviceNumber]),
      ).toEqual([
        ['left', first.busPath, first.deviceNumber],
        ['arrived', second.busPath, second.deviceNumber],
      ]);
      expect(deaf).toEqual([]);
    });

    test('control transfers both ways; a stall is an answer', async () => {
      const { bus } = await setUp();
      const device = await bus.openDfu(await theRom(bus));
      const descriptor = await device.controlIn(DEVICE_DESCRIPTOR, 18, TIMEOUT_MS);
      expect([...descriptor.slice(0, 2)]).toEqual([18, 1]);
      expect([...descriptor.slice(8, 12)]).toEqual([0x83, 0x04, 0x11, 0xdf]);
      expect(await device.controlIn(DEVICE_DESCRIPTOR, 8, TIMEOUT_MS)).toHaveLength(8);
      expect(await device.controlOut(SET_INTERFACE, NOTHING, TIMEOUT_MS)).toBe('ok');
      expect(await device.controlIn(NO_REQUEST, 6, TIMEOUT_MS)).toBe('stall');
      expect(await device.controlOut(NO_REQUEST, NOTHING, TIMEOUT_MS)).toBe('stall');
      expect(await device.controlOut(NO_REQUEST, Uint8Array.of(1, 2), TIMEOUT_MS)).toBe('stall');
      expect((await device.controlIn(GETSTATUS, 6, TIMEOUT_MS)).length).toBe(6);
      await device.close();
    });

    test('a device has one user; closing gives it back at once', async () => {
      const { bus } = await setUp();
      const rom = await theRom(bus);
      const device = await bus.openDfu(rom);
      await expect(bus.openDfu(rom)).rejects.toMatchObject({
        code: 'busy',
        message: expect.stringContaining(rom.busPath),
      });
      await device.close();
      for (let i = 0; i < 3; i++) await (await bus.openDfu(rom)).close();
    });

    test('closed twice is closed; used after that is a fault of ours', async () => {
      const { bus } = await setUp();
      const device = await bus.openDfu(await theRom(bus));
      await device.close();
      await device.close();
      await expect(device.controlIn(GETSTATUS, 6, TIMEOUT_MS)).rejects.toMatchObject({ code: 'internal' });
      await expect(device.controlOut(SET_INTERFACE, NOTHING, TIMEOUT_MS)).rejects.toMatchObject({
        code: 'internal',
      });
    });

    test('a device that left is gone: for who has it open, and for who knows it from before', async () => {
      const { bus, pull, plug } = await setUp();
      const first = await theRom(bus);
      const device = await bus.openDfu(first);
      await pull();
      await expect(device.controlIn(GETSTATUS, 6, TIMEOUT_MS)).rejects.toMatchObject({
        code: 'device-gone',
        place: expect.stringContaining(first.busPath),
      });
      await device.close();
      await expect(bus.openDfu(first)).rejects.toMatchObject({ code: 'device-gone' });
      await plug();
      await expect(bus.openDfu(first)).rejects.toMatchObject({ code: 'device-gone' });
      await (await bus.openDfu(await theRom(bus))).close();
    });
  });
}
