import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { AnswerDecoder, COMMAND, encodeFrame, word, type Answer } from '../../src/protocol/katapult/frame.ts';
import { sendRequest } from '../../src/protocol/katapult/blocks.ts';
import { bytesOf, hexOf } from '../support/katapult-peer.ts';

// All vectors: Katapult's own C code, compiled for the host (klipper-katapult-dfu.md section 4).
describe('frames out', () => {
  test.each([
    ['CONNECT', encodeFrame(COMMAND.connect), '01881100f17c9903'],
    ['SEND_EOF', encodeFrame(COMMAND.sendEof), '01881300414f9903'],
    ['COMPLETE', encodeFrame(COMMAND.complete), '01881500911b9903'],
    ['GET_CANBUS_ID', encodeFrame(COMMAND.getCanbusId), '01881600f9319903'],
    ['REQUEST_BLOCK', encodeFrame(COMMAND.requestBlock, word(0x08008000)), '01881401008000088cd19903'],
  ])('%s', (_name, frame, expected) => {
    expect(hexOf(frame)).toBe(expected);
  });

  test('SEND_BLOCK of 64 bytes is 76 bytes long', () => {
    const bytes = Uint8Array.from({ length: 64 }, (_, index) => index);
    const { frame } = sendRequest({ address: 0x08008000, bytes });
    expect(frame).toHaveLength(76);
    expect(hexOf(frame)).toMatch(/^0188121100800008000102.*3e3f20e59903$/);
  });
});

const CONNECT_REPLY =
  '0188a00d110000000001010000800008' +
  '4000000073746d333266343436787800' +
  '0000000076302e302e312d3130392d67' +
  '3930326633333500c07d9903';
const ACK_SEND = '0188a00212000000008000088dd99903';
const NACK = '0188f10068959903';
const ERROR = '0188f20000bf9903';

function decode(...pieces: readonly Uint8Array[]): Answer[] {
  const decoder = new AnswerDecoder();
  return [...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.flush()];
}

describe('answers in', () => {
  test.each([
    ['the acknowledgement of a block', ACK_SEND, { kind: 'ack', command: 0x12, body: word(0x08008000) }],
    ['NACK', NACK, { kind: 'nack' }],
    ['a command error', ERROR, { kind: 'error' }],
  ])('%s', (_name, text, expected) => {
    expect(decode(bytesOf(text))).toEqual([expected]);
  });

  test('the greeting in CAN frames, as the bus brought it', () => {
    const frames = CONNECT_REPLY.match(/.{1,16}/g) ?? [];
    const [greeting] = decode(...frames.map(bytesOf));
    expect(greeting).toMatchObject({ kind: 'ack', command: 0x11 });
    expect(greeting?.kind === 'ack' && greeting.body).toHaveLength(48);
  });

  test('0xf3 is busy; its CRC is not the one in protocol.md, which is that of 0xf2', () => {
    expect(decode(encodeFrame(0xf3))).toEqual([{ kind: 'busy' }]);
    expect(decode(bytesOf('0188f30000bf9903'))).toEqual([]);
  });

  test.each([
    ['an echo of our own command', '01881100f17c9903'],
    ['an acknowledgement of nothing', '0188a000'.concat(hexOf(encodeFrame(0xa0)).slice(8))],
    ['a wrong trailer', '0188f10068959904'],
    ['a wrong CRC', '0188f10068949903'],
  ])('%s is no answer', (_name, text) => {
    expect(decode(bytesOf(text))).toEqual([]);
  });

  test.each([
    ['a modem manager', '41540d'],
    ['a header without a frame', '0188'],
    ['headers in a row', '010101880188'],
    ['a frame that was cut off', ACK_SEND.slice(0, 20)],
    ['a frame with a flipped bit', ACK_SEND.replace('1200', '5200')],
    ['a length that cannot be', '0188a0ff'],
  ])('%s before an answer is passed over', (_name, rubbish) => {
    expect(decode(bytesOf(rubbish + ACK_SEND))).toEqual([
      { kind: 'ack', command: 0x12, body: word(0x08008000) },
    ]);
  });

  test('a length that no frame has holds nothing', () => {
    expect(new AnswerDecoder().push(bytesOf(`0188a01f${NACK}`))).toEqual([{ kind: 'nack' }]);
  });

  test('a false length holds the next answers only until nothing more comes', () => {
    const decoder = new AnswerDecoder();
    // It claims 29 words; 124 bytes never come.
    expect(decoder.push(bytesOf(`0188a01d${NACK}${ERROR}`))).toEqual([]);
    expect(decoder.flush()).toEqual([{ kind: 'nack' }, { kind: 'error' }]);
    expect(decoder.push(bytesOf(ERROR))).toEqual([{ kind: 'error' }]);
  });
});

describe('any stream', () => {
  const anyAnswer = fc.oneof(
    fc.constantFrom(NACK, ERROR, ACK_SEND, CONNECT_REPLY).map(bytesOf),
    fc.uint8Array({ minLength: 0, maxLength: 29 * 4 }).map((body) => {
      const payload = Uint8Array.from([...word(0x14), ...body.subarray(0, body.length - (body.length % 4))]);
      return encodeFrame(0xa0, payload.subarray(0, 30 * 4));
    }),
  );
  // Rubbish that cannot begin a frame: what could is in the examples above.
  const rubbish = fc
    .uint8Array({ maxLength: 20 })
    .map((bytes) => bytes.map((byte) => (byte === 1 ? 2 : byte)));

  test('every whole frame is found, in order, whatever stands between and however it is cut into pieces', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(rubbish, anyAnswer), { maxLength: 8 }),
        fc.integer({ min: 1, max: 70 }),
        (parts, size) => {
          const stream = Uint8Array.from(parts.flatMap(([between, frame]) => [...between, ...frame]));
          const pieces = Array.from({ length: Math.ceil(stream.length / size) }, (_, n) =>
            stream.subarray(n * size, (n + 1) * size),
          );
          const alone = parts.flatMap(([, frame]) => decode(frame));
          expect(alone).toHaveLength(parts.length);
          expect(decode(...pieces)).toEqual(alone);
        },
      ),
    );
  });

  test('bytes of any kind: nothing throws, and a whole frame behind them is found', () => {
    const wild = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .array(fc.constantFrom(0x01, 0x88, 0xa0, 0x02, 0x99, 0x03, 0xff), { maxLength: 60 })
        .map((list) => Uint8Array.from(list)),
    );
    fc.assert(
      fc.property(wild, anyAnswer, (before, frame) => {
        const [wanted] = decode(frame);
        expect(decode(before, frame).at(-1)).toEqual(wanted);
      }),
    );
  });
});
