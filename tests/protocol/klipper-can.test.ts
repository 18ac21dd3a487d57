import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  clearKatapultNodeIds,
  dataIds,
  queryUnassigned,
  readAnswer,
  requestBootloader,
  setKatapultNodeId,
  setKlipperNodeId,
} from '../../src/protocol/klipper-can.ts';

/** `3f1#20ac11...` as candump writes it. */
function frame(text: string) {
  const [id = '', bytes = ''] = text.split('#');
  return { id: Number.parseInt(id, 16), data: Uint8Array.from(Buffer.from(bytes, 'hex')) };
}

// Klipper docs/CANBUS_protocol.md: id 0x3f0, "<1-byte message_id = 0x00>".
test('the request', () => {
  expect(queryUnassigned()).toEqual(frame('3f0#00'));
});

// klipper-katapult-dfu.md sections 3 (d) and 4; the uuid's bytes stand in the order printer.cfg has them.
test.each([
  ['request bootloader', requestBootloader('11aa22bb33cc'), '3f0#0211aa22bb33cc'],
  ['set Klipper node id', setKlipperNodeId('11aa22bb33cc', 4), '3f0#0111aa22bb33cc04'],
  ['set Katapult node id', setKatapultNodeId('ac11f42fe5aa', 0x81), '3f0#11ac11f42fe5aa81'],
  ['clear Katapult node ids', clearKatapultNodeIds(), '3f0#12'],
])('%s', (_what, sent, expected) => {
  expect(sent).toEqual(frame(expected));
});

test.each([
  // klippy starts at 4 (klippy/extras/canbus_ids.py); flashtool.py takes 0x81.
  [4, 0x108, 0x109],
  [0x81, 0x202, 0x203],
])('node id %i talks at %i and %i', (nodeId, toNode, toHost) => {
  expect(dataIds(nodeId)).toEqual({ toNode, toHost });
});

test.each(['', '11aa22bb33c', '11aa22bb33ccd', '11AA22BB33CC', '11aa22bb33cg'])('"%s" is no uuid', (uuid) => {
  for (const command of [requestBootloader, (text: string) => setKatapultNodeId(text, 4)])
    expect(() => command(uuid)).toThrow(expect.objectContaining({ code: 'bad-parameter' }));
});

test.each([
  // Transcript of Katapult's src/generic/canserial.c, compiled for the host (klipper-katapult-dfu.md section 4).
  ['Katapult', '3f1#20ac11f42fe5aa11', { uuid: 'ac11f42fe5aa', application: 'katapult' }],
  // Klipper src/generic/canserial.c, can_process_query_unassigned: the last byte is CMD_SET_KLIPPER_NODEID.
  ['Klipper', '3f1#2011aa22bb33cc01', { uuid: '11aa22bb33cc', application: 'klipper' }],
  // docs/CANBUS_protocol.md has no last byte; scripts/canbus_query.py takes that for Klipper.
  ['Klipper by the document', '3f1#2011aa22bb33cc', { uuid: '11aa22bb33cc', application: 'klipper' }],
  // scripts/canbus_query.py: AppNames.get(app_id, "Unknown").
  ['something else', '3f1#2000000000000542', { uuid: '000000000005', application: 'unknown' }],
  ['the byte of an old command', '3f1#2000000000000500', { uuid: '000000000005', application: 'unknown' }],
])('%s: %s', (_who, text, expected) => {
  expect(readAnswer(frame(text))).toEqual(expected);
});

describe('what is no answer', () => {
  test.each([
    ['our own request', '3f0#00', 'foreign'],
    ['an answer on the wrong id', '3f2#20ac11f42fe5aa11', 'foreign'],
    ['data of a node with id 4', '109#05101e7e', 'foreign'],
    ['an empty frame', '3f1#', 'malformed'],
    ['cut inside the uuid', '3f1#20ac11f42fe5', 'malformed'],
    ['another response', '3f1#21ac11f42fe5aa11', 'malformed'],
    ['longer than a classic frame', '3f1#20ac11f42fe5aa1100', 'malformed'],
  ])('%s: %s is %s', (_what, text, expected) => {
    expect(readAnswer(frame(text))).toBe(expected);
  });
});

test('any frame is read, none throws; an answer has a uuid that printer.cfg could have', () => {
  const anyFrame = fc.record({
    id: fc.oneof(fc.constant(0x3f1), fc.integer({ min: 0, max: 0x7ff })),
    data: fc.oneof(
      fc.uint8Array({ maxLength: 9 }),
      fc.uint8Array({ maxLength: 8 }).map((rest) => Uint8Array.of(0x20, ...rest)),
    ),
  });
  let answers = 0;
  fc.assert(
    fc.property(anyFrame, ({ id, data }) => {
      const read = readAnswer({ id, data });
      const isAnswer = id === 0x3f1 && data[0] === 0x20 && (data.length === 7 || data.length === 8);
      if (typeof read === 'string') {
        expect(isAnswer).toBe(false);
        expect(read).toBe(id === 0x3f1 ? 'malformed' : 'foreign');
        return;
      }
      answers += 1;
      expect(isAnswer).toBe(true);
      expect(read.uuid).toMatch(/^[0-9a-f]{12}$/);
      expect([...Buffer.from(read.uuid, 'hex')]).toEqual([...data.subarray(1, 7)]);
    }),
    { numRuns: 2000 },
  );
  expect(answers).toBeGreaterThan(20);
});
