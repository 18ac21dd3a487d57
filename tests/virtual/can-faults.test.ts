// Faults of single frames on the virtual CAN wire.
import { afterEach, expect, test } from '@jest/globals';
import { createBench, type VirtualBench } from '../../src/virtual/bench.ts';
import type { FrameFault } from '../../src/virtual/can-wire.ts';

const benches: VirtualBench[] = [];
afterEach(() => {
  for (const bench of benches.splice(0)) bench.dispose();
});

const UUID = '11aa22bb33cc';
const QUERY = { id: 0x3f0, data: Uint8Array.of(0) };

async function askWith(fault: FrameFault | undefined, n: number) {
  const bench = await createBench({ times: 'zero', can: { nodes: [{ uuid: UUID }] } });
  benches.push(bench);
  const counted: number[] = [];
  bench.can.wire.faults.onFrame = (at, { id }) => {
    counted.push(id);
    return at === n ? fault : undefined;
  };
  const heard: string[] = [];
  const bus = await bench.can.open('can0');
  bus.onFrame(({ id, data }) => heard.push(`${id.toString(16)}#${Buffer.from(data).toString('hex')}`));
  await bus.send(QUERY);
  await bench.clock.sleep(20);
  return { heard, counted, frames: bench.can.wire.frames };
}

const ANSWER = `3f1#20${UUID}01`;

// Frame 1 is the query, frame 2 the answer.
test.each<[FrameFault | undefined, number, string[], number[]]>([
  [undefined, 1, [ANSWER], [0x3f0, 0x3f1]],
  ['lost', 1, [], [0x3f0]],
  ['lost', 2, [], [0x3f0, 0x3f1]],
  ['doubled', 1, [ANSWER, ANSWER], [0x3f0, 0x3f1, 0x3f1]],
  ['doubled', 2, [ANSWER, ANSWER], [0x3f0, 0x3f1]],
  // 00 becomes 10, which is no command.
  ['corrupted', 1, [], [0x3f0]],
  ['corrupted', 2, [`3f1#2011aa22ab33cc01`], [0x3f0, 0x3f1]],
  // An admin frame of no bytes.
  ['cut', 1, [], [0x3f0]],
  ['cut', 2, ['3f1#2011aa22'], [0x3f0, 0x3f1]],
])('%s at frame %d', async (fault, n, expected, ids) => {
  const { heard, counted, frames } = await askWith(fault, n);
  expect([heard, counted, frames]).toEqual([expected, ids, ids.length]);
});

test('a late frame comes late, and nothing overtakes it', async () => {
  const bench = await createBench({ times: 'zero', can: { nodes: [{ uuid: UUID }] } });
  benches.push(bench);
  bench.can.wire.faults.onFrame = (n) => (n === 1 ? { lateMs: 300 } : undefined);
  const heard: number[] = [];
  const bus = await bench.can.open('can0');
  const other = await bench.can.open('can0');
  other.onFrame(({ id }) => heard.push(id));
  const began = bench.clock.now();
  let answeredAt = 0;
  bus.onFrame(() => (answeredAt ||= bench.clock.now() - began));
  await bus.send(QUERY);
  await bus.send({ id: 0x123, data: Uint8Array.of(1) });
  await bench.clock.sleep(250);
  expect(answeredAt).toBe(0);
  await bench.clock.sleep(100);
  expect(answeredAt).toBeGreaterThanOrEqual(300);
  expect(bench.can.wire.frames).toBe(3);
});

test('an adapter that was pulled out and is plugged in again is a new interface', async () => {
  const bench = await createBench({ times: 'zero', can: { nodes: [{ uuid: UUID }] } });
  benches.push(bench);
  const old = await bench.can.open('can0');
  bench.can.unplugAdapter();
  await expect(bench.can.open('can0')).rejects.toMatchObject({ code: 'no-hardware' });
  bench.can.replugAdapter();
  await expect(old.send(QUERY)).rejects.toMatchObject({ code: 'no-device' });
  const bus = await bench.can.open('can0');
  const heard: number[] = [];
  bus.onFrame(({ id }) => heard.push(id));
  await bus.send(QUERY);
  await bench.clock.sleep(20);
  expect(heard).toEqual([0x3f1]);
});
