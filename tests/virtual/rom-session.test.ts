// One whole visit to the ROM by hand, with requests written from AN3156: lines, erase, write, read, leave.
import { expect, test } from '@jest/globals';
import type { UsbDfuDevice } from '../../src/ports/usb.ts';
import { createBench, type VirtualBench } from '../../src/virtual/bench.ts';
import { forgeKlipper } from '../../src/virtual/forge.ts';

const CLASS = { type: 'class', recipient: 'interface', index: 0 } as const;

class Session {
  readonly #dfu: UsbDfuDevice;
  readonly #bench: VirtualBench;

  constructor(dfu: UsbDfuDevice, bench: VirtualBench) {
    this.#dfu = dfu;
    this.#bench = bench;
  }

  async status(): Promise<{ status: number; waitMs: number; state: number }> {
    const bytes = await this.#dfu.controlIn({ ...CLASS, request: 3, value: 0 }, 6, 10_000);
    if (typeof bytes === 'string') throw new Error(`GETSTATUS: ${bytes}`);
    const [status = 0, low = 0, middle = 0, high = 0, state = 0] = bytes;
    return { status, waitMs: low | (middle << 8) | (high << 16), state };
  }

  async idle(): Promise<void> {
    for (let tries = 0; tries < 4; tries++) {
      const { state } = await this.status();
      if (state === 2) return;
      await this.#dfu.controlOut(
        { ...CLASS, request: state === 10 ? 4 : 6, value: 0 },
        new Uint8Array(0),
        1000,
      );
    }
    throw new Error('never idle');
  }

  async download(block: number, data: Uint8Array): Promise<void> {
    const answer = await this.#dfu.controlOut({ ...CLASS, request: 1, value: block }, data, 10_000);
    if (answer !== 'ok') throw new Error(`DNLOAD: ${answer}`);
    for (let said = await this.status(); said.state !== 5; said = await this.status()) {
      if (said.state !== 4) throw new Error(`state ${said.state}, status ${said.status}`);
      await this.#bench.clock.sleep(said.waitMs);
    }
  }

  command(code: number, address: number): Promise<void> {
    return this.download(0, Uint8Array.of(code, address, address >> 8, address >> 16, address >> 24));
  }

  async upload(address: number, length: number): Promise<Uint8Array> {
    await this.command(0x21, address);
    await this.#dfu.controlOut({ ...CLASS, request: 6, value: 0 }, new Uint8Array(0), 1000);
    const bytes = await this.#dfu.controlIn({ ...CLASS, request: 2, value: 2 }, length, 10_000);
    if (typeof bytes === 'string') throw new Error(`UPLOAD: ${bytes}`);
    await this.#dfu.controlOut({ ...CLASS, request: 6, value: 0 }, new Uint8Array(0), 1000);
    return bytes;
  }

  async leave(address: number): Promise<void> {
    await this.command(0x21, address);
    await this.#dfu.controlOut({ ...CLASS, request: 1, value: 2 }, new Uint8Array(0), 1000);
    await this.#dfu.controlIn({ ...CLASS, request: 3, value: 0 }, 6, 1000).catch(() => {});
  }
}

test.each([
  ['octopus-v1.1-f446', 'stm32f446xx', 2048, [0x0800_8000, 0x0800_c000]],
  ['octopus-v1.1-f429', 'stm32f429xx', 2048, [0x0800_8000, 0x0800_c000]],
  ['octopus-pro-h723', 'stm32h723xx', 1024, [0x0802_0000]],
] as const)(
  '%s: in by the lines, out by leave, with another Klipper',
  async (board, mcu, transfer, sectors) => {
    const bench = await createBench({ board });
    const image = forgeKlipper({ mcu, version: 'v0.13.0-999', sizeBytes: 0xb000 });
    const [start = 0, ...more] = [...sectors, ...(mcu === 'stm32h723xx' ? [] : [0x0801_0000])];
    const lines = await bench.gpio.open({ boot0: 'gpio26', nrst: 'gpio19' });
    await lines.set({ nrst: 'low' });
    await bench.clock.sleep(200);
    await lines.set({ boot0: 'high' });
    await bench.clock.sleep(20);
    await lines.set({ nrst: 'floating' });
    await bench.settle();
    const [info] = await bench.usb.list();
    if (info === undefined) throw new Error('no ROM');
    const session = new Session(await bench.usb.openDfu(info), bench);
    await session.idle();
    for (const sector of [start, ...more]) await session.command(0x41, sector);
    for (let at = 0; at < image.length; at += transfer) {
      await session.command(0x21, start + at);
      await session.download(2, image.subarray(at, at + transfer));
    }
    expect(await session.upload(start + 0x4000, transfer)).toEqual(image.slice(0x4000, 0x4000 + transfer));
    // BOOT0 is still high: leave is a jump and does not ask it.
    await session.leave(start);
    await bench.clock.sleep(5000);
    expect((await bench.usb.list()).map((device) => device.productId)).toEqual([0x614e]);
    expect(bench.board.klipper?.version).toBe('v0.13.0-999');
    expect(bench.electricalFaults).toEqual([]);
  },
);

test('power cut in the middle of a write leaves a board that does not enumerate, and the ROM still there', async () => {
  const bench = await createBench({ lines: { jumperFitted: true } });
  const [info] = await bench.usb.list();
  if (info === undefined) throw new Error('no ROM');
  const session = new Session(await bench.usb.openDfu(info), bench);
  await session.idle();
  let downloads = 0;
  bench.faults.beforeTransfer = (_n, setup) =>
    setup.bmRequestType === 0x21 && setup.bRequest === 1 && ++downloads === 3 ? 'power-cut' : undefined;
  await session.command(0x41, 0x0800_8000);
  await session.command(0x21, 0x0800_8000);
  await expect(session.download(2, new Uint8Array(2048))).rejects.toMatchObject({ code: 'device-gone' });
  bench.faults.beforeTransfer = undefined;
  bench.setJumper(false);
  bench.powerOn();
  await bench.settle();
  expect(bench.board.running.kind).toBe('nothing');
  bench.setJumper(true);
  await bench.pressReset();
  await bench.settle();
  expect(bench.board.running.kind).toBe('rom');
});
