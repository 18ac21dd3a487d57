// Programs that others wrote, on the served virtual boards: dfu-util on the ROM of all four MCUs, lsusb, can-utils and
// gpiod on a bridge that `octopus virtual attach` keeps attached.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createBench, type BenchOptions, type VirtualBench } from '../../src/virtual/bench.ts';
import { NO_HOST_TIMES, serveBench, type Served } from '../../src/virtual/serve/serve.ts';
import { Guest, HOST_ADDRESS, SHARE, usbRedir } from './guest.ts';
import { serveBoard, type ServedBoard } from './served-board.ts';
import { waitForUsb } from './usb.ts';

interface Part {
  readonly board: string;
  readonly serial: string;
  readonly app: number;
  readonly listed: readonly string[];
  /** How `:leave` ends. */
  readonly leave: { readonly code: number; readonly says: string };
  readonly rom?: BenchOptions['rom'];
}

const F4_OTHERS = ['@OTP Memory /0x1FFF7800/01*512 e,01*016 e', '@Device Feature/0xFFFF0000/01*004 e'];
const F4 = { app: 0x0800_8000, leave: { code: 0, says: 'Transitioning to dfuMANIFEST state' } } as const;
/** What dfu-util 0.11 prints for real ones: docs/virtual-board.md. */
const PARTS: readonly Part[] = [
  {
    ...F4,
    board: 'octopus-v1.1-f446',
    serial: 'STM32FxSTM32',
    listed: [
      '@Internal Flash  /0x08000000/04*016Kg,01*064Kg,03*128Kg',
      '@Option Bytes  /0x1FFFC000/01*016 e',
      ...F4_OTHERS,
    ],
  },
  {
    ...F4,
    board: 'octopus-v1.1-f429',
    serial: '2073337C4856',
    listed: [
      '@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg',
      '@Option Bytes  /0x1FFFC000/01*016 e/0x1FFEC000/01*016 e',
      ...F4_OTHERS,
    ],
  },
  {
    ...F4,
    board: 'octopus-v1.1-f407',
    serial: '355B36573133',
    listed: [
      '@Internal Flash  /0x08000000/04*016Kg,01*064Kg,07*128Kg',
      '@Option Bytes  /0x1FFFC000/01*016 e',
      ...F4_OTHERS,
    ],
  },
  {
    board: 'octopus-pro-h723',
    serial: '3860376C3231',
    app: 0x0802_0000,
    listed: ['@Internal Flash   /0x08000000/8*128Kg', '@Option Bytes   /0x5200201C/01*88 e'],
    // As on an Octopus Max EZ (stored public file 67118033379).
    leave: { code: 74, says: 'Error during download get_status' },
    // dfu-util does not know of the fault that the unkind reading has after an UPLOAD.
    rom: { readBeforeWrite: 'off' },
  },
];

describe('dfu-util 0.11 and lsusb, four boards in DFU mode', () => {
  let guest: Guest;
  const boards = new Map<string, ServedBoard>();
  beforeAll(async () => {
    for (const { board, rom } of PARTS)
      boards.set(board, await serveBoard({ board, lines: { jumperFitted: true }, ...(rom && { rom }) }));
    const sockets = [...boards.values()].map((one) => one.sockets.board);
    guest = await Guest.boot({ modules: ['xhci_pci'], devices: usbRedir(...sockets) });
    await waitForUsb(guest, '0483:df11', PARTS.length);
  });
  afterAll(async () => {
    await guest?.stop();
    for (const one of boards.values()) await one.close();
  });

  test.each(PARTS)('$board is listed', async ({ serial, listed, leave }) => {
    const { stdout, code } = await guest.run(['dfu-util', '-l']);
    const own = stdout.split('\n').filter((line) => line.endsWith(`serial="${serial}"`));
    const version = leave.code === 0 ? '2200' : '0200';
    expect([code, own.every((line) => line.startsWith(`Found DFU: [0483:df11] ver=${version}, `))]).toEqual([
      0,
      true,
    ]);
    const names = own.map((line) => /alt=\d, name="(.*)", serial/.exec(line)?.[1]);
    expect(names.toReversed()).toEqual(listed);
  });

  test('lsusb reads the descriptors to their end', async () => {
    const { stdout } = await guest.run(['lsusb', '-v', '-d', '0483:df11']);
    const devices = stdout.split(/^Bus /m);
    const f446 = devices.find((device) => device.includes('iSerial                 3 STM32FxSTM32')) ?? '';
    for (const line of [
      'bcdUSB               1.00',
      'wTotalLength       0x0036',
      'bNumInterfaces          1',
      'MaxPower              100mA',
      'wTransferSize                    2048 bytes',
      'bcdDFUVersion                   1.1a',
    ])
      expect([line, f446.includes(line)]).toEqual([line, true]);
  });

  test.each(PARTS)('$board: read, written, and left', async ({ board, serial, app, leave }) => {
    const { flash, board: virtual } = boards.get(board)?.bench ?? never();
    const hex = `0x${app.toString(16).padStart(8, '0')}`;
    const dfu = (...args: readonly string[]) => guest.run(['dfu-util', '-S', serial, '-a', '0', ...args]);
    const file = (name: string) => join(guest.share, `${board}.${name}`);
    expect((await dfu('-s', `${hex}:8192`, '-U', `${SHARE}/${board}.before`)).code).toBe(0);
    expect(readFileSync(file('before')).equals(flash.peek(app, 8192))).toBe(true);
    const image = randomBytes(5000 * 2);
    writeFileSync(file('image'), image);
    const written = await dfu('-s', hex, '-D', `${SHARE}/${board}.image`);
    expect([written.code, written.stdout.includes('File downloaded successfully')]).toEqual([0, true]);
    expect(image.equals(flash.peek(app, image.length))).toBe(true);
    const left = await dfu('-s', `${hex}:leave`, '-D', `${SHARE}/${board}.before`);
    expect(left.code).toBe(leave.code);
    expect(`${left.stdout}${left.stderr}`).toContain(leave.says);
    while (virtual.running.kind === 'rom') await new Promise((resolve) => setTimeout(resolve, 20));
  });
});

describe('a bridge over USB/IP, kept attached', () => {
  let guest: Guest;
  let bench: VirtualBench;
  let served: Served;
  beforeAll(async () => {
    bench = await createBench({
      state: 'bridge',
      clock: 'real',
      timesOverride: NO_HOST_TIMES,
      can: { nodes: [{ uuid: '0a0b0c000001' }] },
    });
    served = await serveBench(bench, { usbip: '0' });
    guest = await Guest.boot({
      modules: ['vhci_hcd', 'gs_usb', 'can_raw', 'viperboard', 'gpio_viperboard'],
      network: true,
    });
    const attach = guest.start(['bin/octopus', 'virtual', 'attach', `${HOST_ADDRESS}:${served.usbipPort}`], {
      timeoutMs: 600_000,
    });
    // Half a minute on a busy machine: the whole command line is loaded in an emulated processor.
    await attach.prints(/606f attached at port/, 240_000);
    await attach.prints(/1005 attached at port/, 60_000);
    await waitForUsb(guest, '1d50:606f');
    await waitForUsb(guest, '2058:1005');
  });
  afterAll(async () => {
    await guest?.stop();
    await served?.close();
    bench?.dispose();
  });

  test('the stock driver makes can0 of it, with the bit timing of a real Octopus', async () => {
    await guest.sh('ip link set can0 up type can bitrate 1000000');
    const { stdout } = await guest.sh('ip -details link show can0');
    // Octopus 1.1 F446 as bridge: stored public file 26188362609.
    for (const words of [
      'bitrate 1000000 sample-point 0.750',
      'tq 62 prop-seg 5 phase-seg1 6 phase-seg2 4 sjw 1',
      'gs_usb: tseg1 1..16 tseg2 1..8 sjw 1..4 brp 1..1024 brp_inc 1',
      'clock 48000000',
    ])
      expect(stdout).toContain(words);
  });

  test('can-utils: the query is answered by the bridge and by the node', async () => {
    const { stdout } = await guest.sh(
      `candump -L -n 3 -T 5000 can0 > ${SHARE}/dump & sleep 0.5; cansend can0 3F0#00; wait; cut -d' ' -f3 ${SHARE}/dump`,
    );
    const uuid = '0a0b0c000001';
    const [echo, ...answers] = stdout.trim().split('\n');
    expect(echo).toBe('3F0#00');
    expect(answers).toHaveLength(2);
    expect(answers).toContain(`3F1#20${uuid.toUpperCase()}01`);
  });

  test('gpiod resets it into the ROM: can0 goes, 0483:df11 comes at the same place', async () => {
    const place = 'readlink -f $(grep -l PLACE /sys/bus/usb/devices/*/idProduct | head -1)';
    const before = await guest.sh(place.replace('PLACE', '606f'));
    await guest.sh("gpioset 'viperboard gpio a' 0=1 1=0; sleep 0.3; gpioget 'viperboard gpio a' 1");
    await waitForUsb(guest, '0483:df11');
    const after = await guest.sh(place.replace('PLACE', 'df11'));
    expect(after.stdout).toBe(before.stdout);
    expect((await guest.sh('ip link show can0')).code).not.toBe(0);
    expect(bench.electricalFaults).toEqual([]);
  });
});

function never(): never {
  throw new Error('every part has its board');
}
