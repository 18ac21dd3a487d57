// Reading flash through Katapult, and writing one erase page of it. Pure.
import { OctopusError, hex } from '../../errors.ts';
import { unreadable } from '../dfuse-exchange.ts';
import {
  exchange,
  readRequest,
  sendRequest,
  underWay,
  type Block,
  type BlockRequest,
  type Pace,
  type Progress,
} from './blocks.ts';
import { PROMPT_TIMEOUT_MS, type KatapultLink, type KatapultTalk } from './talk.ts';

/** The acknowledgement of a page's first block comes after the erase: 4 s for 128 KiB at worst (DS8626, DS13313). */
const ERASE_TIMEOUT_MS = 10_000;
/**
 * What is written at a page's start erases the page when it comes again behind other blocks: on an STM32 the first block
 * (src/stm32/flash.c, flash_write_block), on an RP2040 anything in the first 256 bytes (src/rp2040/flash.c, flush_buffer).
 * So these blocks go one by one, and nothing follows before they are acknowledged.
 */
const LEAD_BYTES = 256;
const TRIES = 3;

export interface ReadOptions {
  readonly blockBytes: number;
  /** Flash with error correction: a word that a power cut left half-written stops the chip when it is read. */
  readonly mayHang: boolean;
}

/**
 * Reads `length` bytes from `address` on; both are whole blocks. Katapult looks at no address: one that is no memory stops
 * the chip until it is reset, so the caller asks for flash only.
 * Throws `katapult-wedged`; `flash-unreadable` where the chip may have stopped at a torn word.
 */
export function* readBlocks(
  link: KatapultLink,
  address: number,
  length: number,
  { blockBytes, mayHang }: ReadOptions,
): KatapultTalk<Uint8Array> {
  const bytes = new Uint8Array(length);
  const missing = new Map<number, BlockRequest>();
  for (let at = address; at < address + length; at += blockBytes)
    missing.set(at, readRequest(at, blockBytes));
  const accept = (request: BlockRequest, body: Uint8Array): Progress => {
    bytes.set(body, request.address - address);
    missing.delete(request.address);
    return { kind: 'progress', done: length - missing.size * blockBytes, total: length };
  };
  const pace = { window: underWay(link, 'request'), timeoutMs: PROMPT_TIMEOUT_MS };
  const [first] = missing.keys();
  try {
    for (let attempt = 0; attempt < TRIES; attempt++)
      if ((yield* exchange(link, [...missing.values()], pace, accept)) === 'done') return bytes;
  } catch (error) {
    if (!mayHang || link.isNacked || !isWedged(error)) throw error;
  }
  throw unreadable([...missing.keys()][0] ?? first ?? address);
}

/**
 * Writes the blocks of one erase page, the page's first one first: that one erases the page unless it is blank, and each
 * block is acknowledged when it was found in the flash (RP2040: when it was taken). A refused block, one that would have
 * to be erased or that the flash did not take, is no reason to send that block again: the page begins anew.
 * Throws `katapult-wedged`, `verify-failed`.
 */
export function* writePage(link: KatapultLink, blocks: readonly Block[]): KatapultTalk<void> {
  const start = blocks[0]?.address ?? 0;
  const total = blocks.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const requests = blocks.map(sendRequest);
  const [opening, lead, rest] = [
    requests.slice(0, 1),
    requests.slice(1).filter(({ address }) => address < start + LEAD_BYTES),
    requests.slice(1).filter(({ address }) => address >= start + LEAD_BYTES),
  ];
  const parts: readonly (readonly [readonly BlockRequest[], Pace])[] = [
    [opening, { window: 1, timeoutMs: ERASE_TIMEOUT_MS }],
    [lead, { window: 1, timeoutMs: PROMPT_TIMEOUT_MS }],
    [rest, { window: underWay(link, 'send'), timeoutMs: PROMPT_TIMEOUT_MS }],
  ];
  for (let attempt = 0; attempt < TRIES; attempt++)
    if ((yield* writeParts(link, parts, total / requests.length, total)) === 'done') return;
  throw new OctopusError('verify-failed', `Katapult cannot write the page at ${hex(start)}`, {
    place: hex(start),
    advice: 'Flash again. If it fails at the same address, the flash is worn or the page is write-protected.',
  });
}

function* writeParts(
  link: KatapultLink,
  parts: readonly (readonly [readonly BlockRequest[], Pace])[],
  blockBytes: number,
  total: number,
): KatapultTalk<'done' | 'refused'> {
  let done = 0;
  const accept = (): Progress => ({ kind: 'progress', done: (done += blockBytes), total });
  for (const [requests, pace] of parts)
    if ((yield* exchange(link, requests, pace, accept)) === 'refused') return 'refused';
  return 'done';
}

function isWedged(error: unknown): boolean {
  return error instanceof OctopusError && error.code === 'katapult-wedged';
}
