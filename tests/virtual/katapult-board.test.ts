// Katapult on the board: boot words, the double reset, COMPLETE, what the 1200 baud touch does in each state, and the
// tty as a program of the host has it (klipper-katapult-dfu.md sections 3 and 4).

import { afterEach, describe, expect, test } from '@jest/globals';
import { createBench, type BenchOptions, type VirtualBench } from '../../src/virtual/bench.ts';
import type { CanGuest } from '../../src/virtual/can-guest.ts';
import { forgeKatapult, forgeKlipper } from '../../src/virtual/forge.ts';
import { APP, ackOf, block, bytes, frame, hex, send, VECTOR } from './katapult-rig.ts';
import { restartWith } from './restart-with.ts';

const benches: VirtualBench[] = [];
afterEach(() => {
  for (const one of benches.splice(0)) one.dispose();
});

/** A bench whose Klipper service holds no port. */
async function bench(options: BenchOptions = {}): Promise<VirtualBench> {
  const one = await createBench(options);
  benches.push(one);
  await one.printer.stopKlipper();
  return one;
}

async function ids(one: VirtualBench): Promise<string> {
  return (await one.usb.list()).map((d) => `${d.vendorId.toString(16)}:${d.productId.toString(16)}`).join();
}

const tty = async (one: VirtualBench): Promise<string> => (await one.usb.list())[0]?.ttyPath ?? 'no tty';

async function talk(one: VirtualBench, ...messages: (string | Uint8Array)[]): Promise<string> {
  const port = await one.serial.open(await tty(one));
  let said = '';
  for (const message of messages) {
    await port.write(typeof message === 'string' ? bytes(message) : message);
    for (let got = await port.read(30); got !== undefined; got = await port.read(30)) said += hex(got);
  }
  await port.close();
  return said;
}

describe('the 1200 baud touch, section 3 (b)', () => {
  const touched = async (
    options: BenchOptions,
    prepare?: (one: VirtualBench) => Promise<void>,
  ): Promise<string> => {
    const one = await bench(options);
    await prepare?.(one);
    const before = await ids(one);
    await one.serial.touch1200(await tty(one));
    await one.clock.sleep(5000);
    return `${before} ${await ids(one)}`;
  };
  test.each<[string, BenchOptions, string]>([
    ['Klipper over Katapult: Katapult', { state: 'katapult' }, '1d50:614e 1d50:6177'],
    ['Klipper over the stock bootloader: ROM', { state: 'used' }, '1d50:614e 483:df11'],
    ['bare Klipper: ROM', { state: 'no-bootloader' }, '1d50:614e 483:df11'],
    ['Katapult ignores it', { state: 'katapult-empty' }, '1d50:6177 1d50:6177'],
    ['H723 over Katapult', { board: 'octopus-pro-h723', state: 'katapult' }, '1d50:614e 1d50:6177'],
    ['H723 over the stock bootloader', { board: 'octopus-pro-h723', state: 'used' }, '1d50:614e 483:df11'],
    ['F407', { board: 'octopus-v1.1-f407', state: 'used' }, '1d50:614e 483:df11'],
    ['F429: the jump into the ROM fails', { board: 'octopus-v1.1-f429', state: 'used' }, '1d50:614e '],
    ['F429, bare', { board: 'octopus-v1.1-f429', state: 'no-bootloader' }, '1d50:614e '],
    ['F429 over Katapult', { board: 'octopus-v1.1-f429', state: 'katapult' }, '1d50:614e 1d50:6177'],
    [
      'F429, the other reading',
      { board: 'octopus-v1.1-f429', state: 'used', firmware: { romJump: 'works' } },
      '1d50:614e 483:df11',
    ],
  ])('%s', async (_name, options, expected) => {
    expect(await touched(options)).toBe(expected);
  });

  test('with the jumper in, the reset on the way to Katapult lands in the ROM', async () => {
    expect(
      await touched({ state: 'katapult' }, async (one) => {
        await Promise.resolve();
        one.setJumper(true);
      }),
    ).toBe('1d50:614e 483:df11');
  });

  test('Katapult comes at once, without the half second; the stock bootloader looks for its card first', async () => {
    for (const [state, least, most] of [
      ['katapult', 229, 450],
      ['used', 500, 800],
    ] as const) {
      const one = await bench({ state });
      const start = one.clock.now();
      await one.serial.touch1200(await tty(one));
      while ((await ids(one)).includes('614e') || (await ids(one)) === '') await one.clock.sleep(1);
      expect(one.clock.now() - start).toBeGreaterThan(least);
      expect(one.clock.now() - start).toBeLessThan(most);
    }
  });

  test('F429 whose jump failed comes back by a reset by hand', async () => {
    const one = await bench({ board: 'octopus-v1.1-f429' });
    await one.serial.touch1200(await tty(one));
    await one.clock.sleep(5000);
    expect(one.board.running.kind).toBe('nothing');
    await one.pressReset();
    await one.settle();
    expect(await ids(one)).toBe('1d50:614e');
  });

  test('opening and closing at another speed asks for nothing', async () => {
    const one = await bench({ state: 'katapult' });
    await (await one.serial.open(await tty(one))).close();
    await one.clock.sleep(3000);
    expect(await ids(one)).toBe('1d50:614e');
  });

  test.each([
    ['coding-before', '1d50:614e'],
    ['own-coding', '1d50:6177'],
  ] as const)('1200 baud told while DTR is low already, reading %s', async (touchSees, expected) => {
    const one = await bench({ state: 'katapult', firmware: { touchSees } });
    const [device] = one.usb.visible();
    const coding = { bmRequestType: 0x21, bRequest: 0x20, wValue: 0, wIndex: 0, wLength: 7 };
    await device?.fn.control(coding, bytes('b0040000000008'));
    await one.clock.sleep(3000);
    expect(await ids(one)).toBe(expected);
    if (touchSees === 'own-coding') return;
    // The next request that sets the line finds it.
    await device?.fn.control({ ...coding, bRequest: 0x22, wLength: 0 }, new Uint8Array(0));
    await one.clock.sleep(3000);
    expect(await ids(one)).toBe('1d50:6177');
  });

  test('held by Klipper, the port is not touched', async () => {
    const one = await createBench({ state: 'katapult' });
    benches.push(one);
    await expect(one.serial.touch1200(await tty(one))).rejects.toMatchObject({ code: 'busy' });
    await one.clock.sleep(3000);
    expect(await ids(one)).toBe('1d50:614e');
  });
});

describe('the request heard on CAN', () => {
  test.each<[string, BenchOptions, string]>([
    ['a bridge over Katapult', {}, '1d50:6177'],
    ['a bridge over the stock bootloader', { state: 'bridge' }, '483:df11'],
  ])('%s', async (name, options, expected) => {
    const one = await bench(options);
    if (options.state === undefined) {
      one.powerCut();
      one.flash.load(0x0800_0000, forgeKatapult({ mcu: 'stm32f446xx' }));
      await restartWith(one, APP.f446, forgeKlipper({ mcu: 'stm32f446xx', transport: 'bridge' }));
    }
    expect([name, await ids(one)]).toEqual([name, '1d50:606f']);
    one.board.requestBootloader();
    await one.clock.sleep(3000);
    expect(await ids(one)).toBe(expected);
  });

  test('a CAN build over the stock bootloader or over nothing goes on as if nobody had asked', async () => {
    for (const linkAddress of [APP.f446, 0x0800_0000]) {
      const one = await bench();
      await restartWith(
        one,
        linkAddress,
        forgeKlipper({ mcu: 'stm32f446xx', transport: 'can', linkAddress }),
      );
      let starts = 0;
      one.board.onRunning = () => starts++;
      one.board.requestBootloader();
      await one.clock.sleep(3000);
      expect([await ids(one), one.board.klipper?.transport, starts]).toEqual(['', 'can', 0]);
    }
  });

  test('a CAN build over a Katapult that speaks CAN: each joins the bus and leaves it with its reset', async () => {
    const one = await bench();
    const told: string[] = [];
    const guests: CanGuest[] = [];
    one.board.joinCan = (guest) => {
      told.push(guest.kind);
      guests.push(guest);
      return () => told.push(`${guest.kind} left`);
    };
    one.powerCut();
    one.flash.load(0x0800_0000, forgeKatapult({ mcu: 'stm32f446xx', transport: 'can' }));
    await restartWith(one, APP.f446, forgeKlipper({ mcu: 'stm32f446xx', transport: 'can' }));
    const [klipper] = guests;
    if (klipper?.kind === 'klipper') klipper.requestBootloader();
    await one.clock.sleep(1000);
    expect(told).toEqual(['klipper', 'klipper left', 'katapult']);
    const answers: string[] = [];
    const katapult = guests[1];
    if (katapult?.kind !== 'katapult') throw new Error('no Katapult');
    const firmware = katapult.firmware({
      canUuid: 'ac11f42fe5aa',
      respond: (message) => answers.push(hex(message)),
    });
    await firmware.step(bytes(VECTOR.getId));
    await firmware.step(bytes(VECTOR.complete));
    await one.clock.sleep(1000);
    expect(answers).toEqual([VECTOR.getIdAck, ackOf(0x15)]);
    expect(told.slice(3)).toEqual(['katapult left', 'klipper']);
    expect(await firmware.step(bytes(VECTOR.connect))).toEqual({ took: 0, ret: 0 });
    expect(await ids(one)).toBe('');
  });

  test('Katapult and an empty board hear nothing', async () => {
    for (const state of ['katapult-empty', 'blank'] as const) {
      const one = await bench({ state });
      const before = await ids(one);
      one.board.requestBootloader();
      await one.clock.sleep(3000);
      expect(await ids(one)).toBe(before);
    }
  });
});

describe('boot rules', () => {
  test('COMPLETE starts the application 100 ms later, without the half second of a cold start', async () => {
    const one = await bench({ state: 'katapult' });
    await one.serial.touch1200(await tty(one));
    await one.clock.sleep(2000);
    expect(await talk(one, VECTOR.connect, VECTOR.complete)).toBe(VECTOR.connectAck + ackOf(0x15));
    const start = one.clock.now();
    while ((await ids(one)) !== '1d50:614e') await one.clock.sleep(1);
    expect(one.clock.now() - start).toBeLessThan(100 + 229 + 130 + 20);
  });

  test('COMPLETE without an application ends in nothing; a reset by hand ends in Katapult', async () => {
    const one = await bench({ state: 'katapult-empty' });
    await talk(one, VECTOR.complete);
    await one.clock.sleep(3000);
    expect([await ids(one), one.board.running.kind]).toEqual(['', 'nothing']);
    await one.pressReset();
    await one.settle();
    expect(await ids(one)).toBe('1d50:6177');
  });

  test('COMPLETE with the jumper in ends in the ROM, and the word in RAM is still there after it', async () => {
    const one = await bench({ state: 'katapult' });
    await one.serial.touch1200(await tty(one));
    await one.clock.sleep(2000);
    one.setJumper(true);
    await talk(one, VECTOR.complete);
    await one.clock.sleep(3000);
    expect(await ids(one)).toBe('483:df11');
    one.setJumper(false);
    const start = one.clock.now();
    await one.pressReset(20);
    while ((await ids(one)) !== '1d50:614e') await one.clock.sleep(1);
    // No half second: START_APP was found.
    expect(one.clock.now() - start).toBeLessThan(20 + 5 + 229 + 130 + 50);
  });

  test('an interrupted flash leaves an application that counts as valid, and only a double reset gets back', async () => {
    const one = await bench({ state: 'katapult-empty' });
    await talk(one, send(APP.f446, forgeKlipper({ mcu: 'stm32f446xx' }).slice(0, 64)));
    await one.pressReset();
    await one.settle();
    expect([await ids(one), one.board.running.kind]).toEqual(['', 'nothing']);
    await one.pressReset(20);
    await one.clock.sleep(100);
    await one.pressReset(20);
    await one.settle();
    expect(await ids(one)).toBe('1d50:6177');
  });

  test('H723: an application whose first word is torn ends Katapult itself, before its half second', async () => {
    const one = await bench({ board: 'octopus-pro-h723', state: 'katapult' });
    void one.flash.eraseSector(APP.h723);
    await one.clock.sleep(300);
    one.powerCut();
    one.powerOn();
    await one.settle();
    const { running } = one.board;
    expect(running).toEqual({ kind: 'nothing', why: expect.stringContaining('bus fault') });
    await one.pressReset(20);
    await one.clock.sleep(100);
    await one.pressReset(20);
    await one.settle();
    expect(await ids(one)).toBe('');
  });

  test('protocol 1.0: an older build is started and answers without a version', async () => {
    const one = await bench({ state: 'katapult-empty' });
    await restartWith(one, 0x0800_0000, forgeKatapult({ mcu: 'stm32f446xx', protocol: '1.0' }));
    expect(await talk(one, VECTOR.connect)).toBe(
      hex(frame(0xa0, 0x11, 0x0001_0000, APP.f446, 64, Buffer.from('stm32f446xx\0'))),
    );
  });

  test('a later process finds Katapult where it had stayed', async () => {
    const { mkdtempSync, rmSync } = await import('node:fs');
    const keepDir = mkdtempSync('/tmp/octopus-keep-');
    const first = await bench({ state: 'katapult', keepDir });
    await first.serial.touch1200(await tty(first));
    await first.clock.sleep(2000);
    first.dispose();
    const second = await bench({ keepDir });
    expect(await ids(second)).toBe('1d50:6177');
    rmSync(keepDir, { recursive: true });
  });
});

describe('the tty', () => {
  test('a whole image, block by block, verified and started', async () => {
    const one = await bench({ state: 'katapult-empty', board: 'octopus-v1.1-f446' });
    const image = forgeKlipper({ mcu: 'stm32f446xx', version: 'v0.13.0-777' });
    const padded = new Uint8Array(Math.ceil(image.length / 64) * 64).fill(0xff);
    padded.set(image);
    const port = await one.serial.open(await tty(one));
    const ask = async (message: Uint8Array, length: number): Promise<string> => {
      await port.write(message);
      const got: number[] = [];
      while (got.length < length) got.push(...((await port.read(5000)) ?? Array<number>(length)));
      return hex(Uint8Array.from(got));
    };
    for (let at = 0; at < padded.length; at += 64)
      expect(await ask(send(APP.f446 + at, padded.slice(at, at + 64)), 16)).toBe(ackOf(0x12, APP.f446 + at));
    // 46 KiB from 0x08008000: 16 K, 16 K and a part of 64 K (section 4).
    expect(await ask(bytes(VECTOR.eof), 16)).toBe(ackOf(0x13, 3));
    for (let at = 0; at < padded.length; at += 64)
      expect(await ask(frame(0x14, APP.f446 + at), 80)).toContain(hex(padded.slice(at, at + 64)));
    await ask(bytes(VECTOR.complete), 12);
    await port.close();
    await one.clock.sleep(2000);
    expect(one.board.klipper?.version).toBe('v0.13.0-777');
  });

  test('the driver takes sixteen writes that the chip does not, and then waits for two seconds', async () => {
    const one = await bench({ state: 'katapult-empty' });
    const port = await one.serial.open(await tty(one));
    await port.write(frame(0x14, 0x1fff_7a10));
    await one.clock.sleep(10);
    for (let n = 0; n < 16; n++) await port.write(block(n));
    await port.write(block(16));
    await expect(port.write(block(17))).rejects.toMatchObject({ code: 'usb-timeout' });
    await port.close();
  });

  test('closed in the middle of a write, the chip has half a frame: wedged or waiting for ever', async () => {
    const one = await bench({ state: 'katapult-empty', times: 'worst' });
    one.flash.load(APP.f446, block(9));
    const first = await one.serial.open(await tty(one));
    await first.write(send(APP.f446, block(0)));
    await first.write(send(APP.f446 + 64, block(1)));
    await one.clock.sleep(100);
    await first.close();
    await one.clock.sleep(2000);
    expect(await talk(one, VECTOR.connect)).not.toContain(VECTOR.connectAck);
  });

  test('four acknowledgements that fill a packet stay in the half-filled read of the driver', async () => {
    const one = await bench({ state: 'katapult-empty' });
    const port = await one.serial.open(await tty(one));
    const [device] = one.usb.visible();
    const { pipes } = device?.fn ?? {};
    // While one answer is fetched and one lies in the endpoint, four more gather behind them.
    for (let n = 0; n < 6; n++) void pipes?.out(0x02, bytes(VECTOR.eof));
    const got: number[] = [];
    for (let chunk = await port.read(100); chunk !== undefined; chunk = await port.read(100))
      got.push(...chunk);
    expect(got).toHaveLength(2 * 16);
    await port.write(bytes(VECTOR.eof));
    for (let chunk = await port.read(100); chunk !== undefined; chunk = await port.read(100))
      got.push(...chunk);
    expect(got).toHaveLength(7 * 16);
    await port.close();
  });

  test('faults are counted over both directions: nothing, a lost answer, a lost write, the cable, the power', async () => {
    const one = await bench({ state: 'katapult-empty' });
    const seen: string[] = [];
    one.faults.beforeBytes = (n, direction, message, busPath) => {
      seen.push(`${n} ${direction} ${message.length} ${busPath}`);
      return ([undefined, undefined, undefined, 'lost', 'lost', 'corrupted'] as const)[n - 1];
    };
    expect(await talk(one, VECTOR.eof, VECTOR.eof, VECTOR.eof, VECTOR.eof)).toBe(
      ackOf(0x13, 0) + VECTOR.nack,
    );
    expect(seen.slice(0, 5)).toEqual([
      '1 out 8 1-1.2',
      '2 in 16 1-1.2',
      '3 out 8 1-1.2',
      '4 in 16 1-1.2',
      '5 out 8 1-1.2',
    ]);
    one.faults.beforeBytes = () => 'unplug';
    await expect(talk(one, VECTOR.connect)).rejects.toMatchObject({ code: 'device-gone' });
    expect(one.board.powered).toBe(true);
    one.faults.beforeBytes = undefined;
    one.replug();
    await one.settle();
    one.faults.beforeBytes = () => 'power-cut';
    await expect(talk(one, VECTOR.connect)).rejects.toMatchObject({ code: 'device-gone' });
    expect(one.board.powered).toBe(false);
  });

  test('a late answer comes late, whole, and before the next one', async () => {
    const one = await bench({ state: 'katapult-empty' });
    one.faults.beforeBytes = (n) => (n === 2 ? { lateMs: 500 } : undefined);
    const port = await one.serial.open(await tty(one));
    const began = one.clock.now();
    await port.write(bytes(VECTOR.eof));
    expect(await port.read(400)).toBeUndefined();
    await port.write(bytes(VECTOR.eof));
    expect(hex((await port.read(1000)) ?? new Uint8Array(0))).toBe(ackOf(0x13, 0));
    expect(one.clock.now() - began).toBeGreaterThanOrEqual(500);
    expect(hex((await port.read(1000)) ?? new Uint8Array(0))).toBe(ackOf(0x13, 0));
    await port.close();
  });

  test("Klipper's messages are counted and spoilt like Katapult's", async () => {
    const one = await bench({ state: 'katapult' });
    const seen: string[] = [];
    one.faults.beforeBytes = (_n, direction, message) => {
      seen.push(`${direction} ${hex(message)}`);
      return seen.length === 1 ? 'lost' : undefined;
    };
    // An empty block with a number that is not its turn: told the right one.
    const empty = '05150c2e7e';
    expect(await talk(one, empty)).toBe('');
    expect(seen).toEqual([`out ${empty}`]);
    expect(await talk(one, empty)).not.toBe('');
    expect(seen).toHaveLength(3);
  });
});
