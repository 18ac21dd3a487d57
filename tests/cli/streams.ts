// Fake streams for the command line: what was written, and whether it is a terminal.
import { Writable } from 'node:stream';
import type { Stream, Streams } from '../../src/cli/world.ts';

export interface FakeStream extends Stream {
  readonly text: () => string;
}

export function fakeStream(terminal?: { readonly columns: number }): FakeStream {
  let written = '';
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      written += chunk;
      done();
    },
  });
  return Object.assign(stream, {
    text: () => written,
    ...(terminal === undefined ? {} : { isTTY: true, columns: terminal.columns }),
  });
}

export interface FakeStreams extends Streams {
  readonly out: FakeStream;
  readonly err: FakeStream;
}

export function fakeStreams(
  terminal?: { readonly columns: number },
  env: Streams['env'] = { TERM: 'xterm' },
): FakeStreams {
  return { out: fakeStream(terminal), err: fakeStream(terminal), env };
}

/** What stays on a terminal's lines when escape sequences and returns have done their work. */
export function frames(text: string): string[] {
  const plain = text.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[[?\\d;]*[A-Za-z]`, 'g'), '\r');
  return plain.split(/[\r\n]+/).filter((line) => line.trim() !== '');
}
