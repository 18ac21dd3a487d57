import { describe, expect, test } from '@jest/globals';
import { readBlocks, writePage } from '../../src/protocol/katapult/memory.ts';
import { KatapultLink, type KatapultTalk, type Transport } from '../../src/protocol/katapult/talk.ts';
import { KatapultPeer, hexOf } from '../support/katapult-peer.ts';
import { FAULTS, spoil, talkTo, type Fault } from './katapult-talk.ts';

const PAGE = 0x08008000;
const BLOCK = 64;
const link = (over: Transport) => new KatapultLink(over, 'here');
const READ = { blockBytes: BLOCK, mayHang: false };

/** Blocks of a page, none like another; `seed` tells two contents apart. */
function blocksOf(count: number, seed = 1, page = PAGE) {
  return Array.from({ length: count }, (_, index) => ({
    address: page + index * BLOCK,
    bytes: Uint8Array.from({ length: BLOCK }, (_each, at) => (index * 7 + at * 3 + seed) & 0xff),
  }));
}
const contentOf = (blocks: readonly { bytes: Uint8Array }[]) =>
  blocks.map(({ bytes }) => hexOf(bytes)).join('');
const addressesOf = (requests: readonly { kind: string; bytes?: Uint8Array }[]) =>
  requests.flatMap(({ bytes }) =>
    bytes === undefined ? [] : [new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true) - PAGE],
  );
const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'no error';
};

describe('a page', () => {
  test.each(['usb', 'can'] as const)('over %s: erased by its first block, then written', (over) => {
    const peer = new KatapultPeer();
    peer.at(PAGE, 0x4000).fill(0x55);
    const blocks = blocksOf(100);
    const { asked } = talkTo(peer, writePage(link(over), blocks), { answersPerRead: 3 });
    expect(peer.erased).toEqual([PAGE]);
    expect(hexOf(peer.at(PAGE, 100 * BLOCK))).toBe(contentOf(blocks));
    expect(peer.at(PAGE + 100 * BLOCK, 0x4000 - 100 * BLOCK).every((byte) => byte === 0xff)).toBe(true);
    expect(peer.programmed).toHaveLength(100);
    expect(addressesOf(asked)).toEqual(blocks.map(({ address }) => address - PAGE));
  });

  // transmit_buf of 192 bytes: unread, the 14th acknowledgement is dropped; a CAN node has room for two frames.
  test.each([
    ['usb', 8],
    ['can', 1],
  ] as const)('over %s at most %i frames are under way', (over, most) => {
    const peer = new KatapultPeer();
    expect(talkTo(peer, writePage(link(over), blocksOf(100))).mostUnderWay).toBe(most);
  });

  test('the first block waits alone, for as long as an erase may take; so do all within the first 256 bytes', () => {
    const peer = new KatapultPeer();
    const { asked } = talkTo(peer, writePage(link('usb'), blocksOf(20)));
    const kinds = asked.flatMap((request) =>
      request.kind === 'progress' ? [] : [request.kind === 'read' ? request.timeoutMs : 'write'],
    );
    expect(kinds.slice(0, 8)).toEqual(['write', 10_000, 'write', 2000, 'write', 2000, 'write', 2000]);
    expect(kinds.slice(8, 17)).toEqual([...Array.from({ length: 8 }, () => 'write'), 2000]);
  });

  test('one frame is one write', () => {
    const { asked } = talkTo(new KatapultPeer(), writePage(link('usb'), blocksOf(20)));
    for (const request of asked) if (request.kind === 'write') expect(request.bytes).toHaveLength(76);
  });

  test('progress counts bytes to the end', () => {
    const { asked } = talkTo(new KatapultPeer(), writePage(link('usb'), blocksOf(20)));
    const progress = asked.flatMap((request) => (request.kind === 'progress' ? [request.done] : []));
    expect(progress).toEqual(Array.from({ length: 20 }, (_, n) => (n + 1) * BLOCK));
  });

  test('a block that the chip refuses begins the page anew', () => {
    const peer = new KatapultPeer();
    const blocks = blocksOf(40);
    let spoilt = false;
    const onAnswer = (_n: number, bytes: Uint8Array) => {
      // Somebody programmed other bytes there, behind our back.
      if (!spoilt && peer.programmed.length === 20) {
        peer.at(PAGE + 30 * BLOCK, BLOCK).fill(0x11);
        spoilt = true;
      }
      return bytes;
    };
    talkTo(peer, writePage(link('usb'), blocks), { onAnswer });
    expect([spoilt, peer.erased]).toEqual([true, [PAGE]]);
    expect(hexOf(peer.at(PAGE, 40 * BLOCK))).toBe(contentOf(blocks));
  });

  test('a page that is refused for ever: verify-failed with its address', () => {
    const peer = new KatapultPeer({ applicationAddress: 0x0800c000 });
    expect(() => talkTo(peer, writePage(link('usb'), blocksOf(10)))).toThrow(
      expect.objectContaining({ code: 'verify-failed', place: '0x08008000' }),
    );
  });

  test('acknowledgements of which many are lost cost frames, not time, while later ones come', () => {
    const peer = new KatapultPeer();
    const onAnswer = (n: number, bytes: Uint8Array) => (n > 4 && n % 3 === 0 ? new Uint8Array(0) : bytes);
    const blocks = blocksOf(100);
    const { waitedMs } = talkTo(peer, writePage(link('usb'), blocks), { onAnswer });
    expect(hexOf(peer.at(PAGE, 100 * BLOCK))).toBe(contentOf(blocks));
    expect([peer.erased, waitedMs <= 2000]).toEqual([[], true]);
  });

  test('a first acknowledgement that is late is not taken for the second', () => {
    const peer = new KatapultPeer();
    peer.at(PAGE, 0x4000).fill(0x55);
    // The erase takes longer than our patience: both answers come together then.
    let held: Uint8Array[] = [];
    const onAnswer = (n: number, bytes: Uint8Array) => {
      if (n === 0) {
        held = [bytes];
        return new Uint8Array(0);
      }
      const together = Uint8Array.from([...held, bytes].flatMap((each) => [...each]));
      held = [];
      return together;
    };
    const blocks = blocksOf(60);
    talkTo(peer, writePage(link('usb'), blocks), { onAnswer });
    expect(peer.erased).toEqual([PAGE]);
    expect(hexOf(peer.at(PAGE, 60 * BLOCK))).toBe(contentOf(blocks));
  });
});

describe('reading', () => {
  const full = () => {
    const peer = new KatapultPeer();
    for (const { address, bytes } of blocksOf(256)) peer.at(address, BLOCK).set(bytes);
    return peer;
  };

  test.each([
    ['usb', 2],
    ['can', 1],
  ] as const)('over %s with %i requests under way', (over, most) => {
    const peer = full();
    const { result, mostUnderWay } = talkTo(peer, readBlocks(link(over), PAGE, 256 * BLOCK, READ));
    expect(hexOf(result)).toBe(hexOf(peer.at(PAGE, 256 * BLOCK)));
    expect(mostUnderWay).toBe(most);
  });

  test('nothing is nothing', () => {
    expect(talkTo(full(), readBlocks(link('usb'), PAGE, 0, READ)).result).toHaveLength(0);
  });

  test.each([
    [true, 'flash-unreadable'],
    [false, 'katapult-wedged'],
  ])('a chip that stops while it is read, error correction %s: %s', (mayHang, code) => {
    const peer = full();
    const onWrite = (n: number, bytes: Uint8Array) => {
      if (n === 10) peer.isWedged = true;
      return bytes;
    };
    const read = () =>
      talkTo(peer, readBlocks(link('usb'), PAGE, 256 * BLOCK, { ...READ, mayHang }), { onWrite });
    expect(codeOf(read)).toBe(code);
    if (mayHang) {
      peer.isWedged = false;
      expect(read).toThrow(expect.objectContaining({ place: '0x08008280' }));
    }
  });

  test('a NACK is never taken for a torn word', () => {
    const peer = full();
    const onWrite = (n: number, bytes: Uint8Array) => spoil(bytes, n === 10 ? 'corrupted' : undefined);
    const options = { ...READ, mayHang: true };
    const read = () => talkTo(peer, readBlocks(link('usb'), PAGE, 256 * BLOCK, options), { onWrite });
    expect(codeOf(read)).toBe('katapult-wedged');
  });

  test('an answer of another length is none', () => {
    const read = () =>
      talkTo(
        new KatapultPeer({ blockBytes: 32 }),
        readBlocks(link('usb'), PAGE, 256, { ...READ, blockBytes: 64 }),
      );
    expect(codeOf(read)).toBe('katapult-wedged');
  });
});

describe('a fault at every frame, there and back', () => {
  const COUNT = 24;
  type Run = (peer: KatapultPeer, faults: Parameters<typeof talkTo>[2]) => void;
  const runs: Record<string, (over: Transport) => Run> = {
    write: (over) => (peer, faults) => {
      const blocks = blocksOf(COUNT);
      talkTo(peer, writePage(link(over), blocks), faults);
      expect(hexOf(peer.at(PAGE, COUNT * BLOCK))).toBe(contentOf(blocks));
    },
    read: (over) => (peer, faults) => {
      const core: KatapultTalk<Uint8Array> = readBlocks(link(over), PAGE, COUNT * BLOCK, READ);
      const { result } = talkTo(peer, core, faults);
      expect(hexOf(result)).toBe(hexOf(peer.at(PAGE, COUNT * BLOCK)));
    },
  };
  const filled = () => {
    const peer = new KatapultPeer();
    peer.at(PAGE, 0x4000).fill(0x55);
    return peer;
  };
  const cases = Object.keys(runs).flatMap((what) =>
    (['usb', 'can'] as const).flatMap((over) => FAULTS.map((fault) => [what, over, fault] as const)),
  );

  test.each(cases)('%s over %s, an answer %s: the work is done', (what, over, fault: Fault) => {
    for (let at = 0; at < COUNT; at++) {
      const onAnswer = (n: number, bytes: Uint8Array) => spoil(bytes, n === at ? fault : undefined);
      runs[what]?.(over)(filled(), { onAnswer });
    }
  });

  test.each(cases)('%s over %s, a frame %s: done, or wedged and said so', (what, over, fault: Fault) => {
    for (let at = 0; at < COUNT; at++) {
      const peer = filled();
      const onWrite = (n: number, bytes: Uint8Array) => spoil(bytes, n === at ? fault : undefined);
      const outcome = codeOf(() => runs[what]?.(over)(peer, { onWrite }));
      const isRecoverable = fault === 'lost' || fault === 'doubled';
      expect([outcome, peer.isWedged]).toEqual(
        isRecoverable ? ['no error', false] : ['katapult-wedged', true],
      );
    }
  });

  test('a frame that lost its first byte and has no other 0x01 is dropped, and sent again', () => {
    const peer = new KatapultPeer();
    const blocks = blocksOf(COUNT).map(({ address, bytes }) => ({
      address,
      bytes: bytes.map((byte) => byte | 2),
    }));
    const onWrite = (n: number, bytes: Uint8Array) => (n === 9 ? bytes.slice(1) : bytes);
    talkTo(peer, writePage(link('usb'), blocks), { onWrite });
    expect(hexOf(peer.at(PAGE, COUNT * BLOCK))).toBe(contentOf(blocks));
  });
});
