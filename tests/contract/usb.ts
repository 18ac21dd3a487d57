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
// DFU 1.1, table 3.2.
const DNLOAD: ControlSetup = { ...GETSTATUS, request: 1 };
const CLRSTATUS: ControlSetup = { ...GETSTATUS, request: 4 };
const ABORT: ControlSetup = { ...GETSTATUS, request: 6 };
// DFU 1.1, 6.1.2 "bState".
const [IDLE, DNBUSY, DNLOAD_IDLE] = [2, 4, 5];
// AN3156 4.2 and 4.3. A sector of 128 KiB takes an F446 a second and more: so long the second GETSTATUS is held.
const SET_ADDRESS = Uint8Array.of(0x21, 0x00, 0x80, 0x00, 0x08);
const ERASE_128_KIB = Uint8Array.of(0x41, 0x00, 0x00, 0x02, 0x08);
const NOTHING = new Uint8Array(0);
/** bState of a GETSTATUS; what is no status is told as it is. */
const stateOf = (answer: Uint8Array | string) => (typeof answer === 'string' ? answer : answer[4]);

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

    describe('calls that do not wait for each other', () => {
      const idle = async (bus: UsbBus) => {
        const device = await bus.openDfu(await theRom(bus));
        await device.controlOut(CLRSTATUS, NOTHING, TIMEOUT_MS);
        return {
          device,
          ask: async (timeoutMs = TIMEOUT_MS) => stateOf(await device.controlIn(GETSTATUS, 6, timeoutMs)),
          tell: (setup: ControlSetup, data = NOTHING) => device.controlOut(setup, data, TIMEOUT_MS),
        };
      };

      test('are carried out in the order in which they were made', async () => {
        const { device, ask, tell } = await idle((await setUp()).bus);
        const data = SET_ADDRESS.slice();
        const calls = [ask(), tell(DNLOAD, data), ask(), ask(), tell(ABORT), ask()];
        // What is sent is what it was when the call was made.
        data.fill(0);
        expect(await Promise.all(calls)).toEqual([IDLE, 'ok', DNBUSY, DNLOAD_IDLE, 'ok', IDLE]);
        await device.close();
      });

      test('a STALL ends one of them alone', async () => {
        const { device, ask, tell } = await idle((await setUp()).bus);
        const calls = [tell(NO_REQUEST), ask(), tell(CLRSTATUS), ask()];
        const [stalled, , cleared, state] = await Promise.all(calls);
        expect([stalled, cleared, state]).toEqual(['stall', 'ok', IDLE]);
        await device.close();
      });

      test("a time-out counts from its own turn's beginning", async () => {
        const { device, ask, tell } = await idle((await setUp()).bus);
        const calls = [tell(DNLOAD, ERASE_128_KIB), ask(), ask(), ask(800)];
        expect(await Promise.all(calls)).toEqual(['ok', DNBUSY, DNLOAD_IDLE, DNLOAD_IDLE]);
        await device.close();
      });

      test('a time-out ends those behind it, too: they are not sent; who calls after it begins anew', async () => {
        const { device, ask, tell } = await idle((await setUp()).bus);
        expect(await Promise.all([tell(DNLOAD, ERASE_128_KIB), ask()])).toEqual(['ok', DNBUSY]);
        const calls = [ask(300), tell(ABORT), ask()];
        expect(await Promise.all(calls)).toEqual(['timeout', 'timeout', 'timeout']);
        // An ABORT would have ended it in dfuIDLE.
        expect(await ask(10_000)).toBe(DNLOAD_IDLE);
        await device.close();
      });

      test('all of them end with a device that leaves', async () => {
        const { bus, pull } = await setUp();
        const { device, ask, tell } = await idle(bus);
        const calls = [tell(DNLOAD, ERASE_128_KIB), ask(), ask(30_000), tell(ABORT), ask()];
        const endings = Promise.allSettled(calls);
        await Promise.all(calls.slice(0, 2));
        await pull();
        expect(
          (await endings).map((end) => (end.status === 'fulfilled' ? end.value : end.reason.code)),
        ).toEqual(['ok', DNBUSY, 'device-gone', 'device-gone', 'device-gone']);
        await device.close();
      });
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
