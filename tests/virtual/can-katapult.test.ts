// Katapult over CAN, against the transcript of the real canserial.c and command.c compiled on a host
// (klipper-katapult-dfu.md section 4: uid 0E002B00135053424E363620, an F446).
import { describe, expect, test } from '@jest/globals';
import type { BenchOptions } from '../../src/virtual/bench.ts';
import { forgeKlipper } from '../../src/virtual/forge.ts';
import { chopped, joined, onBus, type OnBus } from './can-bus.ts';
import { block, crc16, frame as katapultFrame, hex, send, VECTOR } from './katapult-rig.ts';

const UID = '0E002B00135053424E363620';
const UUID = 'ac11f42fe5aa';
const UNASSIGNED = `3f1#20${UUID}11`;
const ASSIGN = `3f0#11${UUID}81`;
const CONNECT_ANSWER = [
  '203#0188a00d11000000',
  '203#0001010000800008',
  '203#4000000073746d33',
  '203#3266343436787800',
  '203#0000000076302e30',
  '203#2e312d3130392d67',
  '203#3930326633333500',
  '203#c07d9903',
];

/** The Octopus as a CAN node that Klipper has sent to Katapult. */
async function board(options: BenchOptions = {}): Promise<OnBus> {
  const rig = await onBus([], { state: 'can-node', uid: UID, ...options });
  await rig.bench.printer.stopKlipper();
  await rig.ask([`3f0#02${UUID}`], 2000);
  return rig;
}

describe('the transcript, line by line', () => {
  test('admin frames', async () => {
    const { ask } = await board();
    expect(await ask(['3f0#00'])).toEqual([UNASSIGNED]);
    expect(await ask([ASSIGN])).toEqual([]);
    expect(await ask(['3f0#00'])).toEqual([]);
    expect(await ask([`3f0#02${UUID}`])).toEqual([]);
    expect(await ask(['202#01881100f17c9903'])).toEqual(CONNECT_ANSWER);
  });

  test('CONNECT and GET_CANBUS_ID', async () => {
    const { ask } = await board();
    await ask([ASSIGN]);
    expect(await ask(['202#01881100f17c9903'])).toEqual(CONNECT_ANSWER);
    expect(await ask(['202#01881600f9319903'])).toEqual([
      '203#0188a00316000000',
      '203#ac11f42fe5aa0000',
      '203#68799903',
    ]);
  });

  test('SEND: 10 frames, erased and compared; the same answer to a repetition', async () => {
    const { ask, bench } = await board({ times: 'zero' });
    await ask([ASSIGN]);
    const ack = ['203#0188a00212000000', '203#008000088dd99903'];
    expect(VECTOR.send).toHaveLength(152);
    expect(await ask(chopped('202', VECTOR.send))).toEqual(ack);
    expect(hex(bench.flash.peek(0x0800_8000, 64))).toBe(VECTOR.send.slice(16, 144));
    expect(await ask(chopped('202', VECTOR.send))).toEqual(ack);
    // And read back: 80 bytes, 10 frames.
    const answer = await ask(chopped('202', VECTOR.request));
    expect([answer.length, joined(answer, '203').slice(24, 152)]).toEqual([10, VECTOR.send.slice(16, 144)]);
  });

  // The main loop is slow, as an RP2040's is while it erases: all bytes come before it looks.
  test('two unprocessed SENDs are two answers; the third overflows 192 bytes and is the end', async () => {
    const { ask, node } = await onBus([
      { model: 'btt-sb2209-rp2040', uuid: UUID, state: 'katapult', answerAfterMs: 30 },
    ]);
    await ask([ASSIGN], 50);
    // A second block of the same page, then a third.
    const sends = [0, 64, 128].map((at) => chopped('202', hex(send(0x1000_4000 + at, block(at))))) as [
      string[],
      string[],
      string[],
    ];
    expect(joined(await ask([...sends[0], ...sends[1]], 100), '203')).toBe(
      `${hex(ackOf(0x1000_4000))}${hex(ackOf(0x1000_4040))}`,
    );
    expect(joined(await ask(sends.flat(), 200), '203')).toBe(
      `${hex(ackOf(0x1000_4000))}${hex(ackOf(0x1000_4040))}`,
    );
    const connect = '202#01881100f17c9903';
    // What still finds room completes the frame with a wrong CRC: one NACK, then nothing, and a new id does not help.
    await ask([connect], 100);
    expect(await ask([connect], 100)).toEqual([]);
    expect(await ask(['3f0#12'], 100)).toEqual([]);
    expect(await ask(['3f0#00'], 100)).toEqual([UNASSIGNED]);
    await ask([ASSIGN], 100);
    expect(await ask([connect], 100)).toEqual([]);
    // Its reset is the cure.
    node.pressReset();
    await ask([], 100);
    node.pressReset();
    await ask([], 500);
    await ask([ASSIGN], 100);
    // A shorter name than the F446's.
    expect(await ask([connect], 100)).toHaveLength(7);
  });
});

const ackOf = (address: number) => katapultFrame(0xa0, 0x12, address);

describe('what is dropped', () => {
  test('frames that come while a page is erased: the controller keeps three', async () => {
    const { ask, node } = await onBus([{ uuid: UUID, state: 'katapult' }]);
    await ask([ASSIGN]);
    const [first, second] = [1, 2].map((seed) => hex(send(0x0800_2000 + 64 * (seed - 1), block(seed))));
    const told = await ask([...chopped('202', first ?? ''), ...chopped('202', second ?? '')], 100);
    // 22 ms for the page (DS13560), and its answer all the same; of the second message three frames are left.
    expect(joined(told, '203')).toBe(hex(ackOf(0x0800_2000)));
    expect([...node.flash.statistics.erases]).toEqual([[0x0800_2000, 1]]);
    // Its rest never comes: what is sent next is taken for it, refused once, and then everything for ever.
    const connects = Array.from({ length: 20 }, () => '202#01881100f17c9903');
    expect(await ask(connects, 100)).toEqual([`203#${VECTOR.nack}`]);
    expect(node.running.kind).toBe('katapult');
  });

  test('a G0B1 with two banks goes on receiving while it erases the one that its code is not in', async () => {
    const { ask } = await onBus([{ uuid: UUID, model: 'toolhead-stm32g0b1', state: 'katapult' }]);
    await ask([ASSIGN]);
    const both = (at: number) =>
      [0, 64].flatMap((more) => chopped('202', hex(send(at + more, block(more + 1)))));
    expect(joined(await ask(both(0x0804_0000), 100), '203')).toBe(
      `${hex(ackOf(0x0804_0000))}${hex(ackOf(0x0804_0040))}`,
    );
    expect(joined(await ask(both(0x0803_f800), 100), '203')).toBe(hex(ackOf(0x0803_f800)));
  });

  test('an RP2040 goes on receiving while it erases, and answers when the buffer has gone', async () => {
    const { ask } = await onBus([{ uuid: UUID, model: 'btt-sb2209-rp2040', state: 'katapult' }]);
    await ask([ASSIGN]);
    await ask(chopped('202', hex(send(0x1000_4000, block(0)))));
    // Another page: the first one is flushed, 45 ms for its sector.
    const began = await ask(
      [...chopped('202', hex(send(0x1000_4100, block(9)))), ...chopped('202', VECTOR.getId)],
      30,
    );
    expect(began).toEqual([]);
    expect(joined(await ask([], 100), '203')).toBe(
      `${hex(ackOf(0x1000_4100))}0188a00316000000${UUID}000068799903`,
    );
  });

  test('nine admin frames while the main loop is away: eight are kept', async () => {
    const { ask } = await onBus([{ uuid: UUID, state: 'katapult', answerAfterMs: 50 }]);
    const set = (id: string) => `3f0#11${UUID}${id}`;
    await ask([...Array.from({ length: 8 }, () => set('82')), set('81')], 200);
    expect(await ask(['202#01881100f17c9903'], 200)).toEqual([]);
    expect(await ask(['204#01881100f17c9903'], 200)).not.toEqual([]);
  });

  test('answers beyond 96 bytes: of two blocks read at once the second is missing', async () => {
    const { ask } = await onBus([{ uuid: UUID, state: 'katapult' }]);
    await ask([ASSIGN]);
    const request = hex(katapultFrame(0x14, 0x0800_2000));
    const answers = joined(await ask([...chopped('202', request), ...chopped('202', request)]), '203');
    expect([answers.length / 2, answers.slice(0, 24)]).toEqual([80, '0188a0121400000000200008']);
    expect(joined(await ask(chopped('202', request)), '203')).toBe(answers);
  });

  test('whatever waits to be sent when the id goes', async () => {
    const { ask } = await onBus([{ uuid: UUID, state: 'katapult', answerAfterMs: 5 }]);
    await ask([ASSIGN]);
    // Both come before the main loop looks, which takes admin frames first.
    expect(await ask(['202#01881100f17c9903', '3f0#12'])).toEqual([]);
  });
});

describe('ids', () => {
  test('one of Katapult is lost when another node gets it, without a shutdown', async () => {
    const { ask } = await onBus([{ uuid: UUID, state: 'katapult' }]);
    await ask([ASSIGN]);
    expect(await ask(['3f0#1111223344556681', '3f0#00'])).toEqual([UNASSIGNED]);
    await ask([ASSIGN]);
    // Somebody else speaks with its answers' id.
    expect(await ask(['203#00', '3f0#00'])).toEqual([UNASSIGNED]);
  });

  test('the id 0 is one: 0x100', async () => {
    const { ask } = await onBus([{ uuid: UUID, state: 'katapult' }]);
    expect(await ask([`3f0#11${UUID}00`, '3f0#00'])).toEqual([]);
    expect((await ask(['100#01881100f17c9903']))[0]).toBe('101#0188a00d11000000');
  });
});

test('a whole Klipper over the bus, then COMPLETE: the node comes back as it', async () => {
  const mcu = 'stm32g0b1xx';
  const image = forgeKlipper({ mcu, transport: 'can', version: 'v0.13.0-1' });
  const { ask, node, bench } = await onBus([{ uuid: UUID, state: 'katapult-empty' }], { times: 'zero' });
  await ask([ASSIGN]);
  const padded = new Uint8Array(Math.ceil(image.length / 64) * 64).fill(0xff);
  padded.set(image);
  for (let at = 0; at < padded.length; at += 64) {
    const answer = await ask(chopped('202', hex(send(0x0800_2000 + at, padded.slice(at, at + 64)))), 2);
    expect(joined(answer, '203')).toBe(hex(ackOf(0x0800_2000 + at)));
  }
  const eof = joined(await ask(chopped('202', VECTOR.eof)), '203');
  expect(eof).toBe(hex(katapultFrame(0xa0, 0x13, Math.ceil(padded.length / 2048))));
  await ask(chopped('202', VECTOR.complete));
  expect(node.running.kind).toBe('katapult');
  await bench.clock.sleep(100);
  await bench.settle();
  expect(node.klipper).toMatchObject({ version: 'v0.13.0-1', mcu });
  expect(await ask(['3f0#00'])).toEqual([`3f1#20${UUID}01`]);
});

test('the CRC of these tests is the one of the table', () => {
  expect(crc16(Buffer.from('1100', 'hex')).toString(16)).toBe('7cf1');
});
