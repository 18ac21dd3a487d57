// Runs in the guest as root: what goes wrong with a board in DFU mode, as the kernel says it, and what we make of it.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { converse } from '../../src/flash/converse.ts';
import { HardwareUsb } from '../../src/hardware/usb.ts';
import type { UsbDfuDevice } from '../../src/ports/usb.ts';
import {
  DFU_REQUEST,
  dfuSetup,
  type DfuAnswer,
  type DfuRequest,
  type DfuTransfer,
  type TransferAnswer,
} from '../../src/protocol/dfu.ts';
import { abort, download, getStatus } from '../../src/protocol/dfuse-exchange.ts';
import { askBench, until } from './bench-person.ts';
import { ours } from './faults-ours.ts';

/** Behind this block the suite lets nothing through to the chip, until an ABORT. */
const SILENCE = 0x777;
const GETSTATUS = dfuSetup(DFU_REQUEST.getStatus, 0);

/** OCTOPUS_USB: both ways of transfers have the same words. */
const bus = new HardwareUsb({ force: process.env['OCTOPUS_USB'] });
const find = async (productId: number) => (await bus.list()).find((one) => one.productId === productId);
const theOne = async (productId: number) => {
  const found = await find(productId);
  if (found === undefined) throw new Error(`no ${productId.toString(16)} on the bus`);
  return found;
};
const children: ChildProcess[] = [];

beforeEach(async () => {
  await askBench('plug');
  await until('the ROM on the bus', async () => (await find(0xdf11)) !== undefined);
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** As the flasher does it, with less patience. */
const perform = (device: UsbDfuDevice, timeoutMs: number) => {
  const start = (request: DfuTransfer): Promise<TransferAnswer> =>
    request.kind === 'out'
      ? device.controlOut(request.setup, request.data, timeoutMs)
      : device.controlIn(request.setup, request.length, timeoutMs);
  return async (request: DfuRequest): Promise<DfuAnswer> => {
    if (request.kind === 'series') return Promise.all(request.transfers.map(start));
    return request.kind === 'out' || request.kind === 'in' ? start(request) : 'ok';
  };
};

test('a transfer without an answer ends in its time; what follows is answered', async () => {
  const device = await bus.openDfu(await theOne(0xdf11));
  const startedAt = performance.now();
  expect(await device.controlOut(dfuSetup(DFU_REQUEST.dnload, SILENCE), Uint8Array.of(0x21), 400)).toBe(
    'timeout',
  );
  expect(await device.controlIn(GETSTATUS, 6, 400)).toBe('timeout');
  expect(performance.now() - startedAt).toBeGreaterThan(700);
  const link = { transferSizeBytes: 2048, pacing: 'held' } as const;
  const writing = download({ ...link }, SILENCE, Uint8Array.of(0x21), 'Set address', 0x0800_8000);
  expect(await ours(converse(writing, perform(device, 400)))).toEqual({
    code: 'usb-timeout',
    message: 'Set address: the device did not take the request: the device gives no status',
    advice: 'Check the USB cable and hub, then flash again.',
    place: '0x08008000',
  });
  await converse(abort(), perform(device, 2000));
  expect(await converse(getStatus(), perform(device, 2000))).toBeDefined();
  await device.close();
});

test('unplugged in a transfer (ENODEV): the device is gone, not slow', async () => {
  const info = await theOne(0xdf11);
  const device = await bus.openDfu(info);
  await device.controlOut(dfuSetup(DFU_REQUEST.dnload, SILENCE), Uint8Array.of(0x21), 100);
  const underWay = ours(device.controlIn(GETSTATUS, 6, 30_000));
  await sleep(300);
  const startedAt = performance.now();
  await askBench('pull');
  const gone = {
    code: 'device-gone',
    message: `the USB device at ${info.busPath} is gone`,
    advice: 'Check the cable and the power of the board.',
    place: `USB ${info.busPath}`,
  };
  expect(await underWay).toEqual(gone);
  expect(performance.now() - startedAt).toBeLessThan(15_000);
  expect(await ours(device.controlOut(GETSTATUS, new Uint8Array(0), 1000))).toEqual(gone);
  await device.close();
  expect(await ours(bus.openDfu(info))).toEqual(gone);
});

test('claimed by another program (EBUSY): its number and its name', async () => {
  const info = await theOne(0xdf11);
  const upload = ['-d', '0483:df11', '-a', '0', '-s', '0x08000000:524288', '-U', `/tmp/held-${process.pid}`];
  const holder = spawn('dfu-util', upload, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(holder);
  // In the midst of its work it stands still, with the board in its hands.
  let said = '';
  for await (const chunk of holder.stdout) {
    said += String(chunk);
    if (/Upload\s+\[/.test(said)) break;
  }
  holder.kill('SIGSTOP');
  expect(await ours(bus.openDfu(info))).toMatchObject({
    code: 'busy',
    message: `the USB device at ${info.busPath} is held by process ${holder.pid} (dfu-util)`,
    advice: 'End that program, then try again.',
  });
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const device = await bus.openDfu(info);
  expect((await device.controlIn(GETSTATUS, 6, 5000)).length).toBe(6);
  await device.close();
});

test("claimed by a driver of the kernel's (EBUSY): the driver is named", async () => {
  const info = await theOne(0x614e);
  expect(await ours(bus.openDfu(info))).toMatchObject({
    code: 'busy',
    message: `the USB device at ${info.busPath} is held by the kernel's driver cdc_acm`,
    advice: 'It is not in DFU mode, or a wrong driver has taken it: pull the cable and plug it in again.',
  });
});
