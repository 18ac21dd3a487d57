// The F4 ROM, states and leaving. Status vectors are bStatus, bwPollTimeout (LE24), bState, iString: rebuilt in real-silicon.json.
import { describe, expect, test } from '@jest/globals';
import { filled, hex, rig, withAddress } from './rig.ts';

const BASE = 0x08000000;
const K = 1024;
const IDLE = '000000000200';
const DNLOAD_IDLE = '000000000500';
const BUSY_100 = '006400000400';
const BUSY_104 = '006800000400'; // real-silicon.json: "00 68 00 00 04 00"
const ERR_FIRMWARE = '0a0000000a00';
const ERR_STALLED = '0f0000000a00';

async function settled(options: Parameters<typeof rig>[1] = {}) {
  const table = rig('stm32f446xx', options);
  expect(await table.dfu.settle()).toBe(IDLE);
  return table;
}

describe('states', () => {
  test('cold start is dfuERROR/errFIRMWARE and CLRSTATUS clears it (octopus_software_dfu@cfd33af)', async () => {
    const { dfu } = rig('stm32f446xx');
    expect(await dfu.getStatus()).toBe(ERR_FIRMWARE);
    expect(await dfu.dnload(0, withAddress(0x21, BASE))).toBe('stall');
    expect(await dfu.abort()).toBe('stall');
    expect(await dfu.getStatus()).toBe(ERR_FIRMWARE);
    expect(await dfu.clrStatus()).toBe('');
    expect(await dfu.getStatus()).toBe(IDLE);
  });

  test('a command begins with the first GETSTATUS and the second is held until it is done', async () => {
    const { clock, dfu, flash } = await settled();
    flash.load(BASE, filled(4, 0));
    const times = [clock.now()];
    expect(await dfu.dnload(0, withAddress(0x41, BASE))).toBe('');
    times.push(clock.now());
    await clock.advance(5000);
    expect(flash.peek(BASE, 1)[0]).toBe(0);
    expect(await dfu.getState()).toBe('03');
    const start = clock.now();
    expect(await dfu.getStatus()).toBe(BUSY_100);
    expect(clock.now() - start).toBeLessThan(2);
    expect(await dfu.getStatus()).toBe(DNLOAD_IDLE);
    // 16K at x8: 400 ms, and the first answer came after 1 ms
    expect(clock.now() - start).toBeGreaterThan(400);
    expect(clock.now() - start).toBeLessThan(404);
    expect(hex(flash.peek(BASE, 4))).toBe('ffffffff');
  });

  test('or answers dfuDNBUSY again and again, if told so', async () => {
    const { clock, dfu } = await settled({ settings: { heldRequest: 'none' } });
    await dfu.dnload(0, withAddress(0x41, BASE));
    let polls = 0;
    const start = clock.now();
    while ((await dfu.getStatus()) === BUSY_100) {
      polls++;
      await clock.advance(100);
    }
    expect(polls).toBe(4);
    expect(clock.now() - start).toBeGreaterThan(400);
  });

  test('set address and write say 104 ms (real-silicon.md section 2)', async () => {
    const { dfu, flash } = await settled();
    expect(await dfu.command(0, withAddress(0x21, BASE + 0x8000))).toEqual([BUSY_104, DNLOAD_IDLE]);
    expect(await dfu.command(2, filled(2048, 0x42))).toEqual([BUSY_104, DNLOAD_IDLE]);
    expect(flash.peek(BASE + 0x8000, 2048)).toEqual(filled(2048, 0x42));
    expect(flash.peek(BASE + 0x8800, 1)[0]).toBe(0xff);
  });

  test('anything but GETSTATUS while busy is deaf until done, then stalled', async () => {
    const { clock, dfu } = await settled();
    await dfu.dnload(0, withAddress(0x41, BASE));
    await dfu.getStatus();
    const start = clock.now();
    expect(await dfu.abort()).toBe('stall');
    expect(clock.now() - start).toBeGreaterThan(398);
    expect(await dfu.getStatus()).toBe(ERR_STALLED);
  });

  test('the state outlives the host: dfuDNLOAD-IDLE for the next session (redbear Duo#50)', async () => {
    const { dfu } = await settled();
    await dfu.command(0, withAddress(0x21, BASE));
    await dfu.standard(0x00, 9, 1, 0);
    await dfu.standard(0x01, 11, 0, 0);
    expect(await dfu.getStatus()).toBe(DNLOAD_IDLE);
    expect(await dfu.abort()).toBe('');
    expect(await dfu.getStatus()).toBe(IDLE);
  });

  test.each([
    ['CLRSTATUS in dfuIDLE', (d: ReturnType<typeof rig>['dfu']) => d.clrStatus()],
    ['DETACH', (d: ReturnType<typeof rig>['dfu']) => d.detach()],
    ['DNLOAD of more than wTransferSize', (d: ReturnType<typeof rig>['dfu']) => d.dnload(2, filled(2049, 0))],
    ['block 1', (d: ReturnType<typeof rig>['dfu']) => d.dnload(1, filled(4, 0))],
    ['UPLOAD of block 1', (d: ReturnType<typeof rig>['dfu']) => d.upload(1, 16)],
    ['UPLOAD of more than wTransferSize', (d: ReturnType<typeof rig>['dfu']) => d.upload(2, 4096)],
    ['an unknown request', (d: ReturnType<typeof rig>['dfu']) => d.standard(0x21, 9, 0, 0)],
  ])('%s is stalled and ends in dfuERROR/errSTALLEDPKT', async (_, request) => {
    const { dfu } = await settled();
    expect(await request(dfu)).toBe('stall');
    expect(await dfu.getStatus()).toBe(ERR_STALLED);
    expect(await dfu.clrStatus()).toBe('');
  });

  test('an unknown command is accepted and then errSTALLEDPKT (AN2662 figure 55)', async () => {
    const { dfu } = await settled();
    expect(await dfu.command(0, Uint8Array.of(0x63))).toEqual([BUSY_104, ERR_STALLED]);
  });
});
describe('leaving', () => {
  test('dfuMANIFEST, then the jump to the pointer (real-silicon.md section 4)', async () => {
    const { clock, dfu, events } = await settled();
    await dfu.command(0, withAddress(0x21, BASE + 0x8000));
    expect(await dfu.dnload(2, filled(0, 0))).toBe('');
    expect(events).toEqual([]);
    expect(await dfu.getStatus()).toBe('000000000700');
    expect(await dfu.clrStatus()).toBe('stall');
    await clock.advance(300);
    expect(events).toEqual(['leave 0x8008000']);
  });

  test('without GETSTATUS it stays', async () => {
    const { clock, dfu, events } = await settled();
    await dfu.command(0, withAddress(0x21, BASE));
    await dfu.dnload(0, filled(0, 0));
    await clock.advance(10_000);
    expect(events).toEqual([]);
    expect(await dfu.abort()).toBe('');
  });

  test('without SET_ADDRESS: dfuERROR (C071, LibUsbDfu#13), or flash base', async () => {
    const strict = await settled();
    await strict.dfu.dnload(2, filled(0, 0));
    expect(await strict.dfu.getStatus()).toBe('0e0000000a00');
    const kind = await settled({ settings: { leaveWithoutAddress: 'flash-base' } });
    await kind.dfu.dnload(2, filled(0, 0));
    await kind.dfu.getStatus();
    await kind.clock.advance(300);
    expect(kind.events).toEqual(['leave 0x8000000']);
  });

  test('stuck, if told so', async () => {
    const { clock, dfu, events } = await settled({ settings: { stuckOnLeave: true } });
    await dfu.command(0, withAddress(0x21, BASE));
    await dfu.dnload(2, filled(0, 0));
    await dfu.getStatus();
    await clock.advance(60_000);
    expect(events).toEqual([]);
    expect(await dfu.getStatus()).toBe('000000000700');
  });
});

describe('stop', () => {
  test('in the middle of an erase: the sector is torn, the held GETSTATUS ends, nothing keeps running', async () => {
    const { clock, dfu, flash, rom } = await settled();
    flash.load(BASE, filled(16 * K, 0x5a));
    await dfu.dnload(0, withAddress(0x41, BASE));
    await dfu.getStatus();
    const held = dfu.send(0xa1, 3, 0, 6);
    await clock.advance(200);
    rom.stop();
    expect(await held).toBe('stall');
    const content = flash.peek(BASE, 16 * K);
    expect(content.includes(0x5a) && content.includes(0xff)).toBe(true);
    expect(clock.sleepers).toBe(0);
    expect(await dfu.send(0xa1, 3, 0, 6)).toBe('stall');
  });

  test('while leaving: no jump any more', async () => {
    const { clock, dfu, rom, events } = await settled();
    await dfu.command(0, withAddress(0x21, BASE));
    await dfu.dnload(2, filled(0, 0));
    await dfu.getStatus();
    rom.stop();
    await clock.advance(1000);
    expect([events, clock.sleepers]).toEqual([[], 0]);
  });
});

test('a held request can be held longer, and the bus may take the time of transfers itself', async () => {
  const { clock, dfu } = await settled({ rom: { heldMs: 1000, wireTime: false } });
  expect(clock.now()).toBe(0);
  expect(await dfu.command(0, withAddress(0x41, BASE))).toEqual([BUSY_100, DNLOAD_IDLE]);
  expect(clock.now()).toBe(1400);
});
