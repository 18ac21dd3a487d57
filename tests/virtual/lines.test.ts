import { expect, test } from '@jest/globals';
import { VirtualClock } from '../../src/virtual/clock.ts';
import { VirtualGpio } from '../../src/virtual/gpio.ts';
import { BoardLines, type Drive, type LineSettings } from '../../src/virtual/lines.ts';

function board(settings: Partial<LineSettings> = {}) {
  const clock = new VirtualClock();
  const lines = new BoardLines(clock, settings);
  const log: string[] = [];
  lines.watch({
    resetAsserted: () => log.push(`reset@${clock.now().toFixed(1)}`),
    resetReleased: (boot0, boot1) => log.push(`boot0=${boot0} boot1=${boot1}@${clock.now().toFixed(1)}`),
  });
  lines.powerSettled();
  log.length = 0;
  return { clock, lines, log, gpio: new VirtualGpio([lines]) };
}
const PINS = { boot0: 'gpio26', nrst: 'gpio19' };

test('BOOT0 is what jumper, host and pull-down make of it', () => {
  const table: [Drive, boolean, 'high' | 'low', number][] = [
    ['floating', false, 'low', 0],
    ['high', false, 'high', 0],
    ['low', false, 'low', 1],
    ['floating', true, 'high', 0],
    ['high', true, 'high', 0],
    ['low', true, 'high', 1],
  ];
  for (const [drive, jumperFitted, level, faults] of table) {
    const { lines } = board({ jumperFitted });
    lines.drive('boot0', drive);
    expect(lines.boot0()).toBe(level);
    expect(lines.faults).toHaveLength(faults);
  }
});

// 1.2 RC to 70 % of VDD: design, "Lines": 0.1 uF and 30 kOhm make 4 ms, 100 uF and 50 kOhm make 6 s.
test.each([
  [0.1, 30, 3.6],
  [0.1, 40, 4.8],
  [10, 40, 481.6],
  [100, 50, 6019.9],
])('NRST rises with %d uF and %d kOhm in %d ms', async (resetCapacitorUf, pullUpKohm, ms) => {
  const { clock, lines, log } = board({ resetCapacitorUf, pullUpKohm });
  lines.drive('nrst', 'low');
  await clock.sleep(1000);
  expect(lines.inReset).toBe(true);
  const released = clock.now();
  lines.drive('nrst', 'floating');
  await clock.sleep(10_000);
  expect(log).toHaveLength(2);
  expect(Number(log[1]?.split('@')[1]) - released).toBeCloseTo(ms, 0);
});

test('a pulse too short to empty a large capacitor resets nothing', async () => {
  const { clock, lines, log } = board({ resetCapacitorUf: 100 });
  lines.drive('nrst', 'low');
  await clock.sleep(1);
  lines.drive('nrst', 'floating');
  await clock.sleep(10_000);
  expect(log).toEqual([]);
});

test('BOOT0 is sampled when NRST has risen, not when the host lets go', async () => {
  const { clock, log, gpio } = board({ resetCapacitorUf: 10 });
  const open = await gpio.open(PINS);
  await open.set({ boot0: 'high', nrst: 'low' });
  await clock.sleep(100);
  await open.set({ nrst: 'floating' });
  await clock.sleep(100);
  // Let go too early: the chip is still in reset and sees a low BOOT0.
  await open.set({ boot0: 'floating' });
  await clock.sleep(5000);
  expect(log.at(-1)).toMatch(/^boot0=low/);
});

test('swapped wires: a reset pulls BOOT0 low and BOOT0 drives NRST high, and both are noted', async () => {
  const { clock, lines, log, gpio } = board({ wiresSwapped: true });
  const open = await gpio.open(PINS);
  await open.set({ nrst: 'low' });
  await open.set({ boot0: 'high' });
  await clock.sleep(100);
  expect(log).toEqual([]);
  expect(lines.faults.map((fault) => fault.what)).toContain('nrst-driven-high');
  expect(lines.faults.map((fault) => fault.what)).toContain('boot0-driven-low');
});

test('a missing wire carries nothing, and reads as its pull says', async () => {
  const { clock, lines, log, gpio } = board({ boot0WireMissing: true, nrstWireMissing: true });
  const open = await gpio.open(PINS);
  expect(await open.read()).toEqual({ boot0: 'low', nrst: 'high', driven: false });
  await open.set({ boot0: 'high', nrst: 'low' });
  await clock.sleep(100);
  expect(log).toEqual([]);
  expect(lines.boot0()).toBe('low');
});

test('opening drives nothing, closing keeps the levels, and the next opening floats them', async () => {
  const { clock, lines, log, gpio } = board();
  const open = await gpio.open(PINS);
  await clock.sleep(10);
  expect(log).toEqual([]);
  await open.set({ boot0: 'high', nrst: 'low' });
  await open.close();
  await clock.sleep(1000);
  expect(lines.pins()).toEqual({ gpio26: 'high', gpio19: 'low' });
  expect(lines.inReset).toBe(true);
  const again = await gpio.open(PINS);
  await clock.sleep(100);
  expect(await again.read()).toEqual({ boot0: 'low', nrst: 'high', driven: false });
  expect(log.at(-1)).toMatch(/^boot0=low/);
});

test('where the kernel does not keep outputs, closing floats them', async () => {
  const { lines, gpio } = board({ persistOutputs: false });
  const open = await gpio.open(PINS);
  await open.set({ boot0: 'high' });
  await open.close();
  expect(lines.boot0()).toBe('low');
});

test('a held line is busy, a line the host has not is no hardware', async () => {
  const { gpio } = board();
  const open = await gpio.open({ boot0: 'gpiochip0/gpio26', nrst: 'pinctrl-bcm2711/19' });
  await expect(gpio.open({ boot0: 'gpio20', nrst: 'gpio19' })).rejects.toMatchObject({ code: 'busy' });
  await expect(gpio.open({ boot0: 'gpiochip7/gpio1', nrst: 'gpio2' })).rejects.toMatchObject({
    code: 'no-hardware',
  });
  await open.close();
  await gpio.open(PINS);
});

test('pins named the other way round act as swapped wires', async () => {
  const { lines, gpio } = board();
  const open = await gpio.open({ boot0: 'gpio19', nrst: 'gpio26' });
  await open.set({ boot0: 'high' });
  expect(lines.faults.map((fault) => fault.what)).toEqual(['nrst-driven-high']);
});

test('every line change is told with a running number', async () => {
  const { lines, gpio } = board();
  const changes: string[] = [];
  lines.onLineChange(({ n, pin, drive }) => changes.push(`${n} ${pin} ${drive}`));
  const open = await gpio.open(PINS);
  await open.set({ nrst: 'low' });
  await open.set({ nrst: 'low' });
  await open.set({ boot0: 'high', nrst: 'floating' });
  expect(changes).toEqual(['1 gpio19 low', '2 gpio19 floating', '3 gpio26 high']);
});
