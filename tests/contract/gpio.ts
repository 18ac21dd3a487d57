// Contract: what every GpioHost keeps to. A function, so that it also runs where a real chip is.
import { afterEach, describe, expect, test } from '@jest/globals';
import type { GpioHost, LinePins } from '../../src/ports/gpio.ts';

type Drive = 'high' | 'low' | 'floating';

export interface GpioRig {
  readonly host: GpioHost;
  readonly pins: LinePins;
  /** How the host drives both wires, as a meter on the board sees it; undefined where nobody can look. */
  readonly meter: (() => Promise<{ readonly boot0: Drive; readonly nrst: Drive }>) | undefined;
  dispose(): Promise<void>;
}

const ABSENT = ['gpiochip200/gpio3', 'no-such-chip/gpio3', 'NO_SUCH_LINE', 'a/b/c', '', 'gpio'];

export function gpioContract(name: string, make: () => Promise<GpioRig>): void {
  describe(`GpioHost: ${name}`, () => {
    const rigs: GpioRig[] = [];
    afterEach(async () => {
      for (const rig of rigs.splice(0)) await rig.dispose();
    });
    const setUp = async () => {
      const rig = await make();
      rigs.push(rig);
      const lines = await rig.host.open(rig.pins);
      const expectDrive = async (boot0: Drive, nrst: Drive) => {
        if (rig.meter !== undefined) expect(await rig.meter()).toEqual({ boot0, nrst });
      };
      return { ...rig, lines, expectDrive };
    };

    test('both lines float from the first moment', async () => {
      const { lines, expectDrive } = await setUp();
      await expectDrive('floating', 'floating');
      expect(await lines.read()).toMatchObject({ driven: false });
      await lines.close();
    });

    test('BOOT0 is high or floating, reset low or floating; what is left out stays as it is', async () => {
      const { lines, expectDrive } = await setUp();
      await lines.set({ boot0: 'high' });
      await expectDrive('high', 'floating');
      expect(await lines.read()).toMatchObject({ boot0: 'high', driven: true });
      await lines.set({ nrst: 'low' });
      await expectDrive('high', 'low');
      expect(await lines.read()).toEqual({ boot0: 'high', nrst: 'low', driven: true });
      await lines.set({ boot0: 'floating' });
      await expectDrive('floating', 'low');
      expect(await lines.read()).toMatchObject({ nrst: 'low', driven: true });
      await lines.set({});
      await expectDrive('floating', 'low');
      await lines.set({ nrst: 'floating' });
      await expectDrive('floating', 'floating');
      expect(await lines.read()).toMatchObject({ driven: false });
      await lines.close();
    });

    test('a level is set as often as one likes', async () => {
      const { lines, expectDrive } = await setUp();
      for (let i = 0; i < 3; i++) await lines.set({ boot0: 'high', nrst: 'low' });
      await expectDrive('high', 'low');
      for (let i = 0; i < 3; i++) await lines.set({ boot0: 'floating', nrst: 'floating' });
      await expectDrive('floating', 'floating');
      await lines.close();
    });

    test('lines have one holder, until they are closed', async () => {
      const { host, pins, lines } = await setUp();
      await expect(host.open(pins)).rejects.toMatchObject({ code: 'busy' });
      await lines.close();
      await (await host.open(pins)).close();
    });

    test('a refused opening holds neither line', async () => {
      const { host, pins, lines } = await setUp();
      await lines.close();
      await expect(host.open({ ...pins, nrst: 'gpiochip200/gpio1' })).rejects.toMatchObject({
        code: 'no-hardware',
      });
      await (await host.open(pins)).close();
    });

    test('closed twice is closed; used after that is a fault of ours', async () => {
      const { lines } = await setUp();
      await lines.close();
      await lines.close();
      await expect(lines.set({ nrst: 'low' })).rejects.toMatchObject({ code: 'internal' });
      await expect(lines.read()).rejects.toMatchObject({ code: 'internal' });
    });

    test('one pin for both wires is refused', async () => {
      const { host, pins, lines } = await setUp();
      await lines.close();
      await expect(host.open({ boot0: pins.nrst, nrst: pins.nrst })).rejects.toMatchObject({ code: 'busy' });
      await (await host.open(pins)).close();
    });

    test.each(ABSENT)('no line "%s": no-hardware, with the pin', async (pin) => {
      const { host, pins, lines } = await setUp();
      await lines.close();
      await expect(host.open({ ...pins, boot0: pin })).rejects.toMatchObject({
        code: 'no-hardware',
        place: pin,
        message: expect.stringContaining(`"${pin}"`),
      });
    });
  });
}
