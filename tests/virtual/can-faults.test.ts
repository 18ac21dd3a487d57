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
