// Something goes wrong with a message between the host and Katapult: with a reset wire it never needs hands. Every message
// of a small write over USB, and of one over CAN without any wire.
import { describe, expect, jest, test } from '@jest/globals';
import type { ByteDirection, ByteFault } from '../../src/virtual/byte-faults.ts';
import { rawWrite } from '../support/raw-write.ts';
import { expectSafe, type TestBench } from '../support/bench.ts';
import { setUpKept } from '../support/walks.ts';

jest.setTimeout(600_000);

/** 1 KiB into the application's first sector: said hello, kept, erased, written, ended, read back. */
const IMAGE_BYTES = 1024;
/** OCTOPUS_EVERY_TRANSFER=1: really every one, which takes minutes. */
const EDGE = 12;
const STRIDE = process.env['OCTOPUS_EVERY_TRANSFER'] === '1' ? 1 : 17;

/** The beginning and the end one by one, and a stride between them that meets questions and answers alike. */
function chosen(count: number): readonly number[] {
  const all = Array.from({ length: count }, (_, index) => index + 1);
  return all.filter((n) => n <= EDGE || n > count - EDGE || n % STRIDE === 0);
}

/** Says which message of the write this is, from 1. */
async function write(
  rig: TestBench,
  fault: (n: number, direction: ByteDirection) => ByteFault | undefined,
): Promise<number> {
  let messages = 0;
  rig.bench.faults.beforeBytes = (_n, direction) => fault(++messages, direction);
  const bytes = Uint8Array.from({ length: IMAGE_BYTES }, (_, at) => (at * 7 + messages) & 0xff);
  const written = await rawWrite(rig, rig.place.board.applicationAddress, bytes, 'any');
  rig.bench.faults.beforeBytes = undefined;
  expect(written.verified).toBe(true);
  const there = rig.bench.flash.peek(rig.place.board.applicationAddress, IMAGE_BYTES);
  expect(Buffer.from(there).equals(Buffer.from(bytes))).toBe(true);
  expectSafe(rig);
  return messages;
}

describe.each(['lost', 'doubled', 'cut', 'corrupted'] as const)('%s', (fault) => {
  test('at the messages of a write over USB', async () => {
    const plain = await setUpKept({ state: 'katapult' });
    const count = await write(plain, () => undefined);
    plain.bench.dispose();
    expect(count).toBeGreaterThan(100);
    let met = 0;
    for (const n of chosen(count)) {
      const rig = await setUpKept({ state: 'katapult' });
      await write(rig, (at) => (at === n ? fault : undefined));
      met += 1;
      rig.bench.dispose();
    }
    expect(met).toBeGreaterThan(40);
  });
});

test('the cable pulled: an error that says what is on the board, and the next flash succeeds', async () => {
  for (const n of [1, 2, 40, 200, 260]) {
    const rig = await setUpKept({ state: 'katapult' });
    let isOut = false;
    const failure = await write(rig, (at) => {
      if (at !== n || isOut) return undefined;
      isOut = true;
      return 'unplug';
    }).catch((error: unknown) => error as { code: string; onBoard?: string });
    expect(failure).toMatchObject({ code: expect.any(String), advice: expect.any(String) });
    rig.bench.faults.beforeBytes = undefined;
    rig.bench.replug();
    await write(rig, () => undefined);
    rig.bench.dispose();
  }
});
