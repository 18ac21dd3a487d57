// Whatever frames come, a node never throws: it answers, keeps quiet, or is wedged until its reset.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { CanFrame } from '../../src/ports/can.ts';
import { createBench } from '../../src/virtual/bench.ts';
import { toolheadNames } from '../../src/virtual/toolhead-data.ts';
import { chopped, frame, klipperBlock } from './can-bus.ts';
import { block, hex, send, VECTOR } from './katapult-rig.ts';

const UUID = '11aa22bb33cc';
const bytes = fc.uint8Array({ maxLength: 8 });
const ids = fc.constantFrom(0x3f0, 0x3f1, 0x202, 0x203, 0x108, 0x109, 0x100, 0x7ff);
const anyFrame: fc.Arbitrary<CanFrame> = fc.record({ id: ids, data: bytes });
const ASSIGNED = [`3f0#11${UUID}81`, `3f0#01${UUID}04`];
/** What a driver would say, so that not all ends in the first door. */
const sense = fc.oneof(
  fc.constantFrom(
    ...[...ASSIGNED, `3f0#02${UUID}`, '3f0#00', '3f0#12'].map((one) => [one]),
    ...[VECTOR.connect, VECTOR.complete, VECTOR.eof].map((one) => chopped('202', one)),
    chopped('108', klipperBlock(0, [1, 0, 40])),
  ),
  fc
    .tuple(fc.constantFrom(0x0800_2000, 0x0800_2040, 0x1000_4000, 0x1000_4100, 0, 0xffff_ffc0), fc.nat(9))
    .map(([address, seed]) => chopped('202', hex(send(address, block(seed))))),
  fc.uint8Array({ minLength: 9, maxLength: 140 }).map((noise) => chopped('202', hex(noise))),
);
const talk = fc.oneof(
  { weight: 1, arbitrary: anyFrame.map((one) => [one]) },
  { weight: 2, arbitrary: sense.map((written) => written.map(frame)) },
);
const faults = fc.constantFrom('lost', 'doubled', 'corrupted', 'cut', undefined);

test.each(toolheadNames())('%s', async (model) => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('klipper' as const, 'katapult' as const),
      fc.array(talk, { maxLength: 12 }),
      fc.array(faults, { maxLength: 10 }),
      async (state, said, planned) => {
        const nodes = [{ model, state, uuid: UUID }, { nodeId: 90 }];
        const bench = await createBench({ times: 'zero', can: { txQueueLength: 1000, nodes } });
        bench.can.wire.faults.onFrame = (n) => planned[n - 1];
        const bus = await bench.can.open('can0');
        for (const one of [...ASSIGNED.map(frame), ...said.flat()]) await bus.send(one);
        await bench.clock.sleep(2000);
        // Its reset always helps: what lies in flash runs, and a blank first word stays in Katapult.
        const [node] = bench.can.nodes;
        node?.powerOff();
        node?.powerOn();
        expect(['klipper', 'katapult', 'nothing']).toContain(node?.running.kind);
        bench.dispose();
      },
    ),
    { numRuns: 20 },
  );
});
