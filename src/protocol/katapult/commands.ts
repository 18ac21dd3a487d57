// Katapult's commands without blocks: who are you, on which node, write out what you hold, start the application.
import { OctopusError } from '../../errors.ts';
import { COMMAND, MAX_FRAME_BYTES, encodeFrame, readWord, type Command } from './frame.ts';
import { MAX_RUBBISH, ask, nextAnswer, wedged, type KatapultLink, type KatapultTalk } from './talk.ts';

/**
 * A short first wait: devices with double-buffered USB endpoints answer the first command only when a second one comes
 * (flashtool.py, prime). Together longer than the erase that a host which was killed may have left running, 4 s (DS8626).
 */
const CONNECT_TIMEOUTS_MS = [500, 2_000, 3_000];
/** It resets 100 ms after its acknowledgement (src/flashcmd.c, command_complete). */
const COMPLETE_TIMEOUT_MS = 500;
const UUID_BYTES = 6;
const WORD_BYTES = 4;
/** SEND_BLOCK: eight bytes of frame, the address, the block (protocol.md). */
const MAX_BLOCK_BYTES = MAX_FRAME_BYTES - 8 - WORD_BYTES;

export interface Greeting {
  /** `1.1.0`. */
  readonly protocol: string;
  /** Where it launches the application: LAUNCH_APP_ADDRESS. Nothing below can be written. */
  readonly applicationAddress: number;
  readonly blockBytes: number;
  /** As Klipper's dictionary writes it: `stm32f446xx`. */
  readonly mcu: string;
  /** Katapult's own, `v0.0.1-109-g902f335`; protocol 1.0 does not tell it. */
  readonly version: string | null;
}

/** Throws `katapult-wedged`; `wrong-device` where the answer is none that this program understands. */
export function* connect(link: KatapultLink): KatapultTalk<Greeting> {
  const body = yield* ask(link, COMMAND.connect, CONNECT_TIMEOUTS_MS);
  if (body === 'error') throw wedged(link);
  return readGreeting(link, body);
}

function readGreeting(link: KatapultLink, body: Uint8Array): Greeting {
  const [patch = 0, minor = 0, major = 0] = body;
  const protocol = `${major}.${minor}.${patch}`;
  const blockBytes = readWord(body, 8);
  const text = body.subarray(12);
  const mcuEnd = text.indexOf(0);
  const mcu = ascii(mcuEnd < 0 ? text : text.subarray(0, mcuEnd));
  // src/flashcmd.c leaves a whole word of zeros, and what fills the last one, between the two strings.
  const version = mcuEnd < 0 || minor === 0 ? '' : ascii(text.subarray(mcuEnd));
  const isPowerOfTwo = blockBytes > 0 && (blockBytes & (blockBytes - 1)) === 0;
  if (major !== 1 || !isPowerOfTwo || blockBytes < WORD_BYTES || blockBytes > MAX_BLOCK_BYTES || mcu === '') {
    throw new OctopusError(
      'wrong-device',
      `${link.place} answers as a Katapult that this program does not know: protocol ${protocol}, blocks of ${blockBytes} bytes, chip "${mcu}"`,
      { place: link.place, advice: 'Install a released Katapult, or flash this board in DFU mode.' },
    );
  }
  return {
    protocol,
    applicationAddress: readWord(body, 4),
    blockBytes,
    mcu,
    version: version === '' ? null : version,
  };
}

/** The node's uuid as printer.cfg has it; null from a USB build, which does not know the command. Throws `katapult-wedged`. */
export function* getCanbusId(link: KatapultLink): KatapultTalk<string | null> {
  const body = yield* ask(link, COMMAND.getCanbusId);
  if (body === 'error' || body.length < UUID_BYTES) return null;
  return Array.from(body.subarray(0, UUID_BYTES), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Lets it write what it still holds: an RP2040 keeps the last 256 bytes back (src/rp2040/flash.c). Throws `katapult-wedged`, `verify-failed`. */
export function* sendEof(link: KatapultLink): KatapultTalk<void> {
  if ((yield* ask(link, COMMAND.sendEof)) !== 'error') return;
  throw new OctopusError('verify-failed', `Katapult at ${link.place} could not write its last block`, {
    place: link.place,
    advice: 'Flash again. If it fails again, the flash is worn.',
  });
}

/**
 * Starts the application, whatever it is: Katapult does not look (src/generic/armcm_canboot.c, application_jump). Ends
 * when it is acknowledged, or when nobody is there any more: it leaves 100 ms after its acknowledgement, which may be
 * lost. A Katapult that is still there did not get it, and is told again. Throws `katapult-wedged` where it says NACK.
 */
export function* complete(link: KatapultLink): KatapultTalk<void> {
  for (let attempt = 0; attempt < 3; attempt++) {
    if (yield* isAcknowledged(link, COMMAND.complete)) return;
    // The first one only ends what was cut off.
    const isThere =
      (yield* isAcknowledged(link, COMMAND.connect)) || (yield* isAcknowledged(link, COMMAND.connect));
    if (!isThere) break;
  }
  if (link.isNacked) throw wedged(link);
}

function* isAcknowledged(link: KatapultLink, command: Command): KatapultTalk<boolean> {
  yield { kind: 'write', bytes: encodeFrame(command) };
  link.isLeaving ||= command === COMMAND.complete;
  for (let passedOver = 0; passedOver < MAX_RUBBISH; passedOver++) {
    const answer = yield* nextAnswer(link, COMPLETE_TIMEOUT_MS);
    if (answer === undefined) return false;
    if (answer.kind === 'ack' && answer.command === command) return true;
  }
  return false;
}

/** Of a damaged string only what can be printed. */
function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.filter((byte) => byte > 0x20 && byte < 0x7f));
}
