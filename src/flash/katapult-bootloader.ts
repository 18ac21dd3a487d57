// Katapult as a Bootloader, over a USB serial port or a CAN node: says hello, checks who answers, and lets the pure core
// talk. Nothing below the application's address can be written through it, so the bootloader itself is safe.
import { flashSizeBytes } from '../boards/boards.ts';
import type { Mcu } from '../boards/types.ts';
import { OctopusError, hex } from '../errors.ts';
import { orderForKatapult, type KatapultStep } from '../firmware/katapult-order.ts';
import type { WritePlan } from '../firmware/plan.ts';
import type { ByteChannel } from '../ports/bytes.ts';
import type { Step } from '../ports/recorder.ts';
import { complete, connect, getCanbusId, sendEof, type Greeting } from '../protocol/katapult/commands.ts';
import { readBlocks, writePage } from '../protocol/katapult/memory.ts';
import { KatapultLink, wedged, type KatapultRequest, type KatapultTalk } from '../protocol/katapult/talk.ts';
import type { Bootloader, WriteHooks } from './bootloader.ts';
import { converse } from './converse.ts';
import type { Kit } from './kit.ts';

export interface KatapultTarget {
  /** What the board file promises. */
  readonly mcu: Mcu;
  /** Where it answers: the USB bus path, or the CAN node in words. */
  readonly place: string;
  /** The chip's unique id where somebody knows it; Katapult does not tell it. */
  readonly uid: string | null;
  readonly over: 'usb' | 'can';
  /** Of the CAN node that was asked for. */
  readonly canUuid?: string;
}

export interface KatapultBootloader extends Bootloader {
  readonly kind: 'katapult';
  readonly greeting: Greeting;
}

/**
 * Flash with error correction: a word is programmed once per erase, and one that a power cut left half-programmed stops
 * the core when it is read. Its words are of 8 bytes or more (RM0444 3.3.7, RM0468 4.3.9); an F4's or F0's are smaller.
 */
const ECC_WORD_BYTES = 8;

/**
 * Connects. The channel is the bootloader's from now on, and closed where this throws:
 * `katapult-wedged`, `wrong-mcu`, `wrong-device` (a node with another uuid, or an unknown protocol), `device-gone`.
 */
export async function openKatapultBootloader(
  kit: Pick<Kit, 'clock' | 'recorder'>,
  channel: ByteChannel,
  target: KatapultTarget,
): Promise<KatapultBootloader> {
  const link = new KatapultLink(target.over, target.place);
  const talk = <R>(core: KatapultTalk<R>, onProgress?: (done: number) => void): Promise<R> =>
    converse(core, performer(channel, link, onProgress));
  try {
    const greeting = await talk(connect(link));
    refuseOtherMcu(target, greeting);
    if (target.canUuid !== undefined) refuseOtherNode(target, await talk(getCanbusId(link)));
    return new Katapult(kit, channel, target, link, greeting, talk);
  } catch (error) {
    await channel.close();
    throw error;
  }
}

type Talk = <R>(core: KatapultTalk<R>, onProgress?: (done: number) => void) => Promise<R>;

class Katapult implements KatapultBootloader {
  readonly kind = 'katapult';
  readonly identity;
  readonly greeting: Greeting;
  readonly #kit: Pick<Kit, 'recorder'>;
  readonly #channel: ByteChannel;
  readonly #mcu: Mcu;
  readonly #link: KatapultLink;
  readonly #talk: Talk;

  constructor(
    kit: Pick<Kit, 'recorder'>,
    channel: ByteChannel,
    { mcu, place, uid }: KatapultTarget,
    link: KatapultLink,
    greeting: Greeting,
    talk: Talk,
  ) {
    [this.#kit, this.#channel, this.#mcu, this.#link, this.#talk] = [kit, channel, mcu, link, talk];
    this.greeting = greeting;
    this.identity = {
      mcu: mcu.name,
      busPath: place,
      uid,
      flashSizeBytes: flashSizeBytes(mcu),
      transferSizeBytes: greeting.blockBytes,
      launchAddress: greeting.applicationAddress,
      version: greeting.version,
    };
  }

  async read(address: number, length: number, onBytes?: (done: number) => void): Promise<Uint8Array> {
    this.#refuseOutside(address, length);
    const { blockBytes } = this.greeting;
    const from = address - (address % blockBytes);
    const whole = Math.ceil((address + length - from) / blockBytes) * blockBytes;
    const options = { blockBytes, mayHang: this.#hasEcc };
    const blocks = await this.#talk(readBlocks(this.#link, from, whole, options), (done) =>
      onBytes?.(Math.max(0, Math.min(done - (address - from), length))),
    );
    return blocks.subarray(address - from, address - from + length);
  }

  async write(plan: WritePlan, hooks: WriteHooks): Promise<void> {
    const steps = orderForKatapult(plan, this.greeting.blockBytes, !this.#hasEcc);
    const [first] = steps;
    if (first === undefined) return;
    this.#refuseOtherStart(first.page.address, 'the image begins');
    for (const { page } of steps) this.#refuseOutside(page.address, page.sizeBytes);
    const eraseTotal = plan.erase.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const writeTotal = steps.reduce((sum, step) => sum + writtenBytes(step), 0);
    const note = noteWith(this.#kit);
    let isErased = false;
    let written = 0;
    // Each page's first block erases it. Told as erased is the first one only: the others are part of the writing.
    hooks.erasing(0, eraseTotal);
    for (const step of steps) {
      const { page, blocks } = step;
      await note({ kind: 'erase', address: page.address, sizeBytes: page.sizeBytes });
      if (step.purpose === 'write')
        await note({ kind: 'write', address: page.address, sizeBytes: writtenBytes(step) });
      await this.#talk(writePage(this.#link, blocks), (done) => {
        if (!isErased) hooks.erasing(eraseTotal, eraseTotal);
        isErased = true;
        if (step.purpose === 'write') hooks.writing(written + done, writeTotal);
      });
      written += writtenBytes(step);
    }
    await this.#talk(sendEof(this.#link));
  }

  async boot(address: number): Promise<void> {
    this.#refuseOtherStart(address, 'the application to start lies');
    try {
      await this.#talk(complete(this.#link));
    } catch (error) {
      const isGone = error instanceof OctopusError && error.code === 'device-gone';
      // Its acknowledgement was lost, and it left.
      if (!isGone || !this.#link.isLeaving) throw error;
    }
  }

  close(): Promise<void> {
    return this.#channel.close();
  }

  get #hasEcc(): boolean {
    return this.#mcu.programWordBytes >= ECC_WORD_BYTES;
  }

  /** Below its own start Katapult answers with an error, above it would write what it never starts. */
  #refuseOtherStart(address: number, what: string): void {
    const { applicationAddress } = this.greeting;
    if (address === applicationAddress) return;
    throw new OctopusError(
      'wrong-address',
      `${what} at ${hex(address)}, but this Katapult launches ${hex(applicationAddress)}`,
      {
        place: hex(address),
        advice: `Set the bootloader offset in make menuconfig so that the application starts at ${hex(applicationAddress)}, and build again.`,
      },
    );
  }

  /** Katapult looks at no address, and one without memory behind it stops the chip (src/flashcmd.c, command_read_block). */
  #refuseOutside(address: number, length: number): void {
    const { flashBase } = this.#mcu;
    const end = flashBase + this.identity.flashSizeBytes;
    if (address >= flashBase && length >= 0 && address + length <= end) return;
    throw new OctopusError(
      'wrong-address',
      `${length} bytes at ${hex(address)} are not in the flash of an ${this.#mcu.name}, ${hex(flashBase)} to ${hex(end)}`,
      { place: hex(address), advice: 'This is a fault of octopus-flasher: please report it.' },
    );
  }
}

/** What counts as written: the closing block is not of the image. */
function writtenBytes({ purpose, blocks }: KatapultStep): number {
  return purpose === 'close' ? 0 : blocks.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

/** The first step waits for its record. Behind it a disk that is full must not leave a half-written board. */
function noteWith({ recorder }: Pick<Kit, 'recorder'>): (step: Step) => Promise<void> {
  let begun = false;
  return async (step) => {
    const onRecord = recorder.before(step);
    await (begun ? onRecord.catch(() => {}) : onRecord);
    begun = true;
  };
}

/** Carries out what the core asks. Silence goes back into the core; a lost device is an exception. */
function performer(channel: ByteChannel, link: KatapultLink, onProgress?: (done: number) => void) {
  return async (request: KatapultRequest): Promise<Uint8Array | 'ok' | undefined> => {
    switch (request.kind) {
      case 'write':
        await channel.write(request.bytes).catch((error: unknown) => {
          // A receiver that is stuck takes no bytes from the kernel any more.
          throw error instanceof OctopusError && error.code === 'usb-timeout' ? wedged(link) : error;
        });
        return 'ok';
      case 'read':
        return channel.read(request.timeoutMs);
      case 'progress':
        onProgress?.(request.done);
        return 'ok';
    }
  };
}

function refuseOtherMcu({ mcu, place }: KatapultTarget, greeting: Greeting): void {
  if (greeting.mcu === mcu.name) return;
  throw new OctopusError(
    'wrong-mcu',
    `Katapult at ${place} runs on an ${greeting.mcu}, not on an ${mcu.name}`,
    {
      place,
      advice:
        'Correct board: in the configuration (the chip is printed on its largest package), then flash an image built for it.',
    },
  );
}

function refuseOtherNode({ canUuid, place }: KatapultTarget, uuid: string | null): void {
  if (uuid === canUuid) return;
  throw new OctopusError(
    'wrong-device',
    `${uuid ?? 'a node that does not tell its uuid'} answers in place of ${canUuid}`,
    {
      place,
      advice:
        'Two nodes have the same id: switch the power of the printer off and on, then ask octopus canbus-query who is there.',
    },
  );
}
