// The stream over CAN by itself: what the main loop gets to see, and when.
import { expect, test } from '@jest/globals';
import type { CanFrame } from '../../src/ports/can.ts';
import { CanAdmin } from '../../src/virtual/can-admin.ts';
import { CanSerial, type SerialParts, type SerialStep } from '../../src/virtual/can-serial.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';
import { frame, text } from './can-bus.ts';

function serial(over: Partial<SerialParts> & Pick<SerialParts, 'step'>) {
  const clock = new VirtualClock();
  const admin = new CanAdmin('11aa22bb33cc', { reboot: () => {}, conflict: () => {} });
  admin.start('katapult');
  admin.assign(0x81);
  const sent: CanFrame[] = [];
  const one = new CanSerial({
    clock,
    admin,
    loopMs: 0.02,
    transmitBytes: 96,
    waiting: () => 0,
    send: (said) => sent.push(said),
    answer: (said) => sent.push(said),
    ...over,
  });
  return { clock, one, sent };
}

test('what comes while the main loop is at work is looked at after it', async () => {
  const looks: number[] = [];
  const { clock, one } = serial({
    step: async (buffer): Promise<SerialStep> => {
      looks.push(buffer.length);
      await clock.sleep(1);
      return buffer.length < 3 ? { took: 0, ret: 0 } : { took: buffer.length, ret: 1 };
    },
  });
  one.receive(frame('202#aabb'));
  await clock.sleep(0.5);
  // The step under way has two bytes and will want more.
  one.receive(frame('202#cc'));
  await clock.sleep(5);
  expect([looks, one.waiting]).toEqual([[2, 3], 0]);
});

test('answers go out eight bytes a frame, as mailboxes are free', () => {
  let busy = 0;
  const { one, sent } = serial({ step: () => ({ took: 0, ret: 0 }), waiting: () => busy });
  one.respond(Uint8Array.from({ length: 20 }, (_, n) => n));
  busy = 3;
  one.pump();
  expect(sent).toEqual([]);
  busy = 0;
  one.pump();
  expect(sent.map(text)).toEqual(['203#0001020304050607', '203#08090a0b0c0d0e0f', '203#10111213']);
});

test.each([
  [[96], 96],
  [[97], 0],
  [[90, 7, 6], 96],
])('of messages of %j bytes %d are taken', (lengths, taken) => {
  const { one, sent } = serial({ step: () => ({ took: 0, ret: 0 }) });
  for (const length of lengths) one.respond(new Uint8Array(length));
  one.pump();
  expect(sent.reduce((sum, { data }) => sum + data.length, 0)).toBe(taken);
});

test('stopped it says and hears nothing', async () => {
  const looks: number[] = [];
  const { clock, one, sent } = serial({
    step: (buffer) => {
      looks.push(buffer.length);
      return { took: 0, ret: 0 };
    },
  });
  one.receive(frame('202#aa'));
  one.stop();
  one.receive(frame('202#aa'));
  one.respond(new Uint8Array(8));
  one.pump();
  await clock.sleep(1);
  expect([looks, sent]).toEqual([[], []]);
});
