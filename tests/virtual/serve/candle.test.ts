// The served CAN adapter as linux's gs_usb driver talks to it (drivers/net/can/usb/gs_usb.c).
import { expect, test } from '@jest/globals';
import { createBench } from '../../../src/virtual/bench.ts';
import { createCandleUsb } from '../../../src/virtual/usb-candle.ts';
import type { SetupPacket } from '../../../src/virtual/usb-function.ts';
import { hex } from './served.ts';

const UUID = '11aa22bb33cc';

async function adapter(options: { isOff?: boolean } = {}) {
  const bench = await createBench({ times: 'zero', can: { nodes: [{ uuid: UUID, ...options }] } });
  bench.can.unplugAdapter();
  const fn = createCandleUsb(bench.can.wire);
  const vendor = (bRequest: number, data: Uint8Array): Promise<unknown> => {
    const setup: SetupPacket = { bmRequestType: 0x41, bRequest, wValue: 0, wIndex: 0, wLength: data.length };
    return fn.control(setup, data);
  };
  const start = async (prescaler: number): Promise<void> => {
    // struct gs_device_bittiming: prop 5, ps1 6, ps2 4, sjw 2, brp; then GS_CAN_MODE_START.
    await vendor(1, new Uint8Array(Uint32Array.of(5, 6, 4, 2, prescaler).buffer));
    await vendor(2, new Uint8Array(Uint32Array.of(1, 0).buffer));
  };
  const send = async (frame: string): Promise<string[]> => {
    await fn.pipes?.out(0x02, hex(frame));
    await bench.clock.sleep(20);
    const came: string[] = [];
    for (let one = fn.pipes?.take(0x81); one !== undefined; one = fn.pipes?.take(0x81))
      came.push(Buffer.from(one).toString('hex'));
    return came;
  };
  return { bench, start, send, vendor };
}

const QUERY = '01000000 f0030000 01 00 00 00 0000000000000000';
const ANSWER = `fffffffff10300000800000020${UUID}01`;

test('48 MHz by 3 and 16 quanta is 1 Mbit/s: the query is echoed and answered', async () => {
  const { start, send } = await adapter();
  await start(3);
  expect(await send(QUERY)).toEqual([QUERY.replaceAll(' ', ''), ANSWER]);
});

test('at another bitrate nobody is understood, and error frames say so until bus-off', async () => {
  const { start, send } = await adapter();
  await start(6);
  const came = await send(QUERY);
  // CAN_ERR_FLAG with CAN_ERR_PROT, at the end CAN_ERR_BUSOFF.
  expect(new Set(came.map((one) => one.slice(8, 16)))).toEqual(new Set(['08000020', '40000020']));
});

test('with nobody there: not acknowledged', async () => {
  const { start, send } = await adapter({ isOff: true });
  await start(3);
  expect(new Set((await send(QUERY)).map((one) => one.slice(8, 16)))).toEqual(new Set(['20000020']));
});

test('what is no classic frame comes back and goes nowhere; rubbish is survived', async () => {
  const { bench, start, send, vendor } = await adapter();
  await start(3);
  const extended = QUERY.replace('f0030000', 'f0030080');
  expect(await send(extended)).toEqual([extended.replaceAll(' ', '')]);
  expect(await send('00')).toEqual([]);
  for (const [request, bytes] of [
    [1, 4],
    [2, 1],
    [77, 8],
  ] as const)
    await expect(vendor(request, new Uint8Array(bytes))).resolves.toBeDefined();
  expect(bench.can.wire.frames).toBe(0);
});

test('stopped it is off the wire', async () => {
  const { bench, start, send, vendor } = await adapter();
  await start(3);
  await vendor(2, new Uint8Array(8));
  expect([await send(QUERY), bench.can.wire.frames]).toEqual([[], 0]);
});
