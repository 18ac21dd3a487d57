// Moonraker, framing on its Unix socket: UTF-8 JSON, then 0x03, in both directions. Pure.
import { HEAD_BYTES } from './wire.ts';

/** ETX. It is in no JSON text (control characters are escaped) and in no longer UTF-8 sequence. */
const END = 0x03;

export type Frame =
  | { readonly kind: 'message'; readonly text: string }
  | { readonly kind: 'too-long'; readonly head: string; readonly sizeBytes: number };

export function frame(text: string): Buffer {
  return Buffer.concat([Buffer.from(text, 'utf8'), Buffer.of(END)]);
}

/** Messages arrive split and joined arbitrarily; one that is too long never lies in memory as a whole. */
export class Deframer {
  readonly #limitBytes: number;
  #parts: Buffer[] = [];
  #sizeBytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** The messages that `chunk` completes. */
  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = [];
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(END, from);
      this.#keep(chunk.subarray(from, end < 0 ? chunk.length : end));
      if (end < 0) return frames;
      frames.push(this.#take());
      from = end + 1;
    }
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return;
    this.#sizeBytes += part.length;
    this.#parts.push(part);
    if (this.#sizeBytes <= this.#limitBytes) return;
    // Copied, so that the chunk it was cut from can be freed.
    this.#parts = [Buffer.from(Buffer.concat(this.#parts).subarray(0, HEAD_BYTES))];
  }

  #take(): Frame {
    const [parts, sizeBytes] = [this.#parts, this.#sizeBytes];
    [this.#parts, this.#sizeBytes] = [[], 0];
    const text = Buffer.concat(parts).toString('utf8');
    if (sizeBytes <= this.#limitBytes) return { kind: 'message', text };
    return { kind: 'too-long', head: text.slice(0, HEAD_BYTES), sizeBytes };
  }
}
