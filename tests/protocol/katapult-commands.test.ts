import { describe, expect, test } from '@jest/globals';
import { complete, connect, getCanbusId, sendEof } from '../../src/protocol/katapult/commands.ts';
import { KatapultLink, type KatapultTalk } from '../../src/protocol/katapult/talk.ts';
import { KatapultPeer, bytesOf, hexOf } from '../support/katapult-peer.ts';
import { FAULTS, spoil, talkTo, type Faults } from './katapult-talk.ts';

const usb = () => new KatapultLink('usb', 'USB 1-1.2');
const can = () => new KatapultLink('can', 'CAN node ac11f42fe5aa');
/** Answers each write with the same stored bytes. */
const echoing = (text: string) => ({ receive: () => [bytesOf(text)] }) as unknown as KatapultPeer;

function failureOf(peer: KatapultPeer, core: KatapultTalk<unknown>, faults?: Faults) {
  try {
    talkTo(peer, core, faults);
  } catch (error) {
    return error as { code: string; message: string; advice: string; place: string };
  }
  throw new Error('it ended well');
}

describe('connect', () => {
  test("the F446's greeting, from the real code", () => {
    const stored =
      '0188a00d11000000000101000080000840000000' +
      '73746d333266343436787800' +
      '00000000' +
      '76302e302e312d3130392d6739303266333335' +
      '00c07d9903';
    expect(talkTo(echoing(stored), connect(usb())).result).toEqual({
      protocol: '1.1.0',
      applicationAddress: 0x08008000,
      blockBytes: 64,
      mcu: 'stm32f446xx',
      version: 'v0.0.1-109-g902f335',
    });
  });

  test('protocol 1.0 has no version', () => {
    const peer = new KatapultPeer({ protocol: 0x00010000, version: null, mcu: 'rp2040' });
    expect(talkTo(peer, connect(usb())).result).toMatchObject({
      protocol: '1.0.0',
      mcu: 'rp2040',
      version: null,
    });
  });

  test.each([
    ['no version although the protocol has one', { version: '' }, { version: null }],
    [
      'names that fill their last word',
      { mcu: 'stm32f446xxx', version: 'v0.1' },
      { mcu: 'stm32f446xxx', version: 'v0.1' },
    ],
  ])('%s', (_name, options, expected) => {
    expect(talkTo(new KatapultPeer(options), connect(usb())).result).toMatchObject(expected);
  });

  test.each([
    ['protocol 2', { protocol: 0x00020000 }],
    ['blocks of 128 bytes, which no frame holds', { blockBytes: 128 }],
    ['blocks of 48 bytes', { blockBytes: 48 }],
    ['blocks of nothing', { blockBytes: 0 }],
    ['no name', { mcu: '' }],
  ])('%s is no Katapult that we know', (_name, options) => {
    expect(failureOf(new KatapultPeer(options), connect(usb()))).toMatchObject({
      code: 'wrong-device',
      place: 'USB 1-1.2',
    });
  });

  test('what a modem manager left in the receiver costs one NACK and no time', () => {
    const peer = new KatapultPeer();
    peer.receive(bytesOf('41540d'));
    const { result, waitedMs } = talkTo(peer, connect(usb()));
    expect([result.mcu, waitedMs]).toEqual(['stm32f446xx', 0]);
  });

  test('answers to what an earlier host asked are passed over', () => {
    const peer = new KatapultPeer();
    const before = [...peer.receive(bytesOf('01881300414f9903')), bytesOf('0188f20000bf9903')];
    const onAnswer = (n: number, bytes: Uint8Array) =>
      n === 0 ? Uint8Array.from([...before.flatMap((each) => [...each]), ...bytes]) : bytes;
    expect(talkTo(peer, connect(usb()), { onAnswer }).result.mcu).toBe('stm32f446xx');
  });

  test('a device with double-buffered endpoints answers to the second CONNECT', () => {
    const peer = new KatapultPeer();
    const onWrite = (n: number, bytes: Uint8Array) => (n === 0 ? new Uint8Array(0) : bytes);
    const { waitedMs } = talkTo(peer, connect(usb()), { onWrite });
    expect(waitedMs).toBeLessThanOrEqual(500);
  });

  // The receiver of the real code, compiled for the host: dead after any of these (section 0).
  test.each([
    ['a lone 0x01', '01', 'refused'],
    // It takes each CONNECT for the rest of the block.
    ['half a block of a host that was killed', '018812110080000800010203', 'does not answer'],
    // The NACK went to whoever sent it.
    ['a block with a wrong CRC', '0188110011119903', 'does not answer'],
  ])('%s left in the receiver: wedged', (_name, left, said) => {
    const peer = new KatapultPeer();
    peer.receive(bytesOf(left));
    expect(failureOf(peer, connect(usb()))).toMatchObject({
      code: 'katapult-wedged',
      message: expect.stringContaining(said),
      advice: expect.stringContaining('reset wire'),
      place: 'USB 1-1.2',
    });
  });

  test('nobody there: wedged, after longer than the longest erase; on CAN the advice names the node', () => {
    const peer = new KatapultPeer();
    const asked: string[] = [];
    const onWrite = (_n: number, bytes: Uint8Array) => {
      asked.push(hexOf(bytes));
      return new Uint8Array(0);
    };
    const failure = failureOf(peer, connect(can()), { onWrite });
    expect(failure).toMatchObject({
      code: 'katapult-wedged',
      message: expect.stringContaining('does not answer'),
      advice: expect.stringContaining('power of CAN node ac11f42fe5aa'),
    });
    expect(asked).toEqual(Array.from({ length: 3 }, () => '01881100f17c9903'));
  });

  test('somebody who never stops talking is no Katapult', () => {
    expect(failureOf(echoing('0188f20000bf9903'), connect(usb())).code).toBe('katapult-wedged');
    const core = connect(usb());
    const listen = () => {
      let step = core.next();
      for (let n = 0; n < 10_000 && step.done !== true; n++)
        step = core.next(step.value.kind === 'read' ? bytesOf('55') : 'ok');
    };
    expect(listen).toThrow(expect.objectContaining({ code: 'katapult-wedged' }));
  });
});

describe('the other commands', () => {
  test('a node tells its uuid, a USB build answers with an error', () => {
    const node = new KatapultPeer({ uuid: 'ac11f42fe5aa' });
    expect(talkTo(node, getCanbusId(can())).result).toBe('ac11f42fe5aa');
    expect(talkTo(new KatapultPeer(), getCanbusId(usb())).result).toBeNull();
  });

  test('the stored answer of a node', () => {
    const stored = echoing('0188a00316000000ac11f42fe5aa000068799903');
    expect(talkTo(stored, getCanbusId(can())).result).toBe('ac11f42fe5aa');
  });

  test('SEND_EOF is acknowledged, or an error', () => {
    expect(talkTo(new KatapultPeer(), sendEof(usb())).result).toBeUndefined();
    expect(failureOf(echoing('0188f20000bf9903'), sendEof(usb())).code).toBe('verify-failed');
  });

  test('COMPLETE is sent once, and is the last word', () => {
    const peer = new KatapultPeer();
    const { asked } = talkTo(peer, complete(usb()));
    const written = asked.flatMap((request) => (request.kind === 'write' ? [hexOf(request.bytes)] : []));
    expect([written, peer.isBooted]).toEqual([['01881500911b9903'], true]);
  });

  test('COMPLETE that did not arrive is told again; whose answer is lost, it has left', () => {
    const lost = (n: number, bytes: Uint8Array) => (n === 0 ? new Uint8Array(0) : bytes);
    const peer = new KatapultPeer();
    talkTo(peer, complete(usb()), { onWrite: lost });
    expect(peer.commands).toEqual([0x11, 0x15]);
    const gone = new KatapultPeer();
    talkTo(gone, complete(can()), { onAnswer: lost });
    expect(gone.isBooted).toBe(true);
  });

  test.each(['cut', 'corrupted'] as const)('COMPLETE that is %s: wedged', (fault) => {
    const peer = new KatapultPeer();
    const onWrite = (n: number, bytes: Uint8Array) => spoil(bytes, n === 0 ? fault : undefined);
    expect(failureOf(peer, complete(usb()), { onWrite }).code).toBe('katapult-wedged');
    expect(peer.isBooted).toBe(false);
  });

  test.each(FAULTS)('an answer that is %s costs one more question', (fault) => {
    for (const core of [connect, getCanbusId, sendEof]) {
      const peer = new KatapultPeer({ uuid: 'ac11f42fe5aa' });
      const onAnswer = (n: number, bytes: Uint8Array) => spoil(bytes, n === 0 ? fault : undefined);
      talkTo<unknown>(peer, core(can()), { onAnswer });
      expect(peer.commands).toHaveLength(fault === 'doubled' ? 1 : 2);
    }
  });
});
