// The rule that may never be wrong: whatever happens while the lines are open, both float afterwards, and it is read back.
import { expect, test } from '@jest/globals';
import { withLines } from '../../src/flash/lines.ts';
import type { GpioHost, GpioLines } from '../../src/ports/gpio.ts';
import { expectSafe, failureOf, PINS, setUp } from '../support/bench.ts';

test('lines that an earlier process left driven float before any work begins', async () => {
  const rig = await setUp();
  rig.bench.lines.drive('boot0', 'high');
  rig.bench.lines.drive('nrst', 'low');
  await withLines(rig.kit, PINS, async () => expectSafe(rig));
  rig.bench.dispose();
});

test('a line that stays driven is lines-stuck, and is given back all the same', async () => {
  let closed = 0;
  const stuck: GpioLines = {
    set: async () => {},
    read: async () => ({ boot0: 'high', nrst: 'high', driven: true }),
    close: async () => {
      closed += 1;
    },
  };
  const gpio: GpioHost = { open: async () => stuck };
  const failure = await failureOf(
    withLines({ gpio, recorder: { before: async () => {} } }, PINS, async () => {}),
  );
  expect(failure).toMatchObject({ code: 'lines-stuck' });
  expect(closed).toBe(1);
});
