// Command line: what goes to stdout and stderr. ASCII only; with --json exactly one line on stdout, at the end.
import { styleText } from 'node:util';
import { EXIT_CODE, type OctopusError } from '../errors.ts';
import type { Streams } from './world.ts';

export class Output {
  readonly streams: Streams;
  readonly json: boolean;

  constructor(streams: Streams, json: boolean) {
    this.streams = streams;
    this.json = json;
  }

  /** A line for people; nothing under --json. */
  say(line: string): void {
    if (!this.json) this.streams.out.write(`${ascii(line)}\n`);
  }

  /** The end of it all: the one object, or the summary for people. */
  answer(answer: object, summary: readonly string[]): void {
    if (this.json) {
      this.streams.out.write(`${asciiJson(answer)}\n`);
      return;
    }
    const [first = '', ...rest] = summary;
    this.streams.out.write(`${this.#paint('out', 'bold', ascii(first))}\n`);
    for (const line of rest) this.say(line);
  }

  /** Returns the exit code that belongs to the error. */
  fail(error: OctopusError): number {
    if (this.json) {
      this.streams.out.write(`${asciiJson({ error })}\n`);
    } else {
      const lines = [
        `${error.message} (${error.code})`,
        ...(error.place === undefined ? [] : [`  where:    ${error.place}`]),
        ...(error.onBoard === undefined ? [] : [`  on board: ${error.onBoard}`]),
        `  cure:     ${error.advice}`,
      ];
      this.streams.err.write(`${this.#paint('err', 'red', 'error:')} ${lines.map(ascii).join('\n')}\n`);
    }
    return EXIT_CODE[error.outcome];
  }

  #paint(stream: 'out' | 'err', colour: 'red' | 'bold', text: string): string {
    const wanted = this.streams[stream].isTTY === true && (this.streams.env.NO_COLOR ?? '') === '';
    return wanted ? styleText(colour, text, { validateStream: false }) : text;
  }
}

/** Names and versions come out of files that anybody may have made: what is not plain text becomes a question mark. */
export function ascii(text: string): string {
  return text.replaceAll(/[^ -~\n]/gu, '?');
}

/** JSON can say every character in ASCII, so nothing is lost. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
