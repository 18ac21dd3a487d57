// Configuration: files of `[section]` and `key: value`, read so that every byte can be written back.
import { complaint, quoted } from './complaint.ts';
import { MOONRAKER, type Dialect } from './dialect.ts';

/** No printer's configuration comes near this; a log file that was named by mistake does. */
export const MAX_SIZE_BYTES = 1024 * 1024;

export interface Line {
  /** From 1, as editors count. */
  readonly number: number;
  /** What stands before the comment; `content + comment + end` is the line as it was. */
  readonly content: string;
  readonly comment: string;
  readonly end: '' | '\n' | '\r\n' | '\r';
}

export interface Entry {
  /** In small letters, as Klipper and Moonraker compare keys. */
  readonly key: string;
  /** Without comments; the lines of a longer one joined by `\n`. */
  readonly value: string;
  readonly firstLine: number;
  readonly lastLine: number;
}

export interface Section {
  /** As written: section names are compared with their case. */
  readonly name: string;
  readonly line: number;
  readonly entries: ReadonlyMap<string, Entry>;
}

export interface ConfigDocument {
  /** As messages name it. */
  readonly file: string;
  readonly dialect: Dialect;
  /** The byte order mark of some Windows editors, or nothing. */
  readonly mark: string;
  readonly lines: readonly Line[];
  readonly sections: ReadonlyMap<string, Section>;
}

/** The text of a file's bytes. Throws `bad-config` when it is too large or no UTF-8. */
export function decodeConfig(bytes: Uint8Array, file: string): string {
  if (bytes.length > MAX_SIZE_BYTES) throw tooLarge(file);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw complaint(file, undefined, 'the file is not UTF-8 text', 'Save it again as UTF-8.');
  }
}

/** Throws `bad-config` with the line and the cure for whatever Klipper or Moonraker would refuse. */
export function readDocument(text: string, file: string, dialect: Dialect = MOONRAKER): ConfigDocument {
  if (text.length > MAX_SIZE_BYTES) throw tooLarge(file);
  const mark = text.startsWith('\uFEFF') ? '\uFEFF' : '';
  const lines = splitLines(text.slice(mark.length), dialect);
  const reading = new Reading(file, dialect);
  for (const line of lines) reading.take(line);
  return { file, dialect, mark, lines, sections: reading.finish() };
}

/** The text that was read, byte for byte. */
export function serialize({ mark, lines }: ConfigDocument): string {
  return mark + lines.map(({ content, comment, end }) => content + comment + end).join('');
}

function tooLarge(file: string) {
  return complaint(
    file,
    undefined,
    `the file is larger than ${MAX_SIZE_BYTES} bytes`,
    'Is this the right file?',
  );
}

function splitLines(text: string, { commentAt }: Dialect): Line[] {
  const lines: Line[] = [];
  for (const [, raw = '', end = ''] of text.matchAll(/([^\r\n]*)(\r\n|\n|\r|$)/g)) {
    if (raw === '' && end === '') continue;
    const at = commentAt(raw);
    const cut = at < 0 ? raw.length : at;
    lines.push({
      number: lines.length + 1,
      content: raw.slice(0, cut),
      comment: raw.slice(cut),
      end: end === '\r\n' || end === '\n' || end === '\r' ? end : '',
    });
  }
  return lines;
}

interface OpenEntry {
  key: string;
  parts: string[];
  firstLine: number;
  lastLine: number;
  indent: number;
}

/** What has been read of a file so far. */
class Reading {
  readonly #file: string;
  readonly #dialect: Dialect;
  readonly #sections = new Map<string, { name: string; line: number; entries: Map<string, Entry> }>();
  #section: { name: string; entries: Map<string, Entry> } | undefined;
  #open: OpenEntry | undefined;

  constructor(file: string, dialect: Dialect) {
    this.#file = file;
    this.#dialect = dialect;
  }

  take(line: Line): void {
    const text = this.#dialect.unescape(line.content);
    const content = text.trim();
    // oxlint-disable-next-line no-control-regex -- looking for control characters is the point
    if (this.#dialect.refusesControls && /[\0-\x08\x0b-\x1f\x7f]/.test(line.content + line.comment)) {
      throw this.#wrong(line, 'a control character', 'Delete the line and type it again.');
    }
    if (content === '') {
      if (this.#dialect.keepsBlankLines && !line.comment.startsWith(';')) this.#open?.parts.push('');
      return;
    }
    const indent = this.#indentOf(text);
    if (this.#open !== undefined && indent > this.#open.indent) {
      this.#open.parts.push(content);
      this.#open.lastLine = line.number;
      return;
    }
    this.#close();
    if (content.startsWith('[')) this.#enter(line, content);
    else this.#begin(line, content, indent);
  }

  finish(): ReadonlyMap<string, Section> {
    this.#close();
    return this.#sections;
  }

  #enter(line: Line, content: string): void {
    const name = this.#dialect.header(content);
    if (name === undefined || name === '') {
      const advice = 'A section stands alone on its line: [name], with the bracket closed behind it.';
      throw this.#wrong(line, `not a section header: ${quoted(content)}`, advice);
    }
    const before = this.#sections.get(name);
    if (before !== undefined && this.#dialect.duplicates === 'refuse') {
      throw this.#wrong(
        line,
        `the section [${quoted(name).slice(1, -1)}] is there twice: lines ${before.line} and ${line.number}`,
        'Put the keys of both into one and delete the other.',
      );
    }
    const section = before ?? { name, line: line.number, entries: new Map<string, Entry>() };
    this.#sections.set(name, section);
    this.#section = section;
  }

  #begin(line: Line, content: string, indent: number): void {
    if (this.#section === undefined) {
      const advice = 'The first line that is no comment must be a section: [name].';
      throw this.#wrong(line, `text before the first section: ${quoted(content)}`, advice);
    }
    const delimiter = content.search(/[:=]/);
    const key = content.slice(0, Math.max(delimiter, 0)).trim().toLowerCase();
    if (key === '') {
      const advice =
        'A line is "key: value" or "key = value"; what continues a value is indented deeper than its key.';
      throw this.#wrong(line, `no key and value: ${quoted(content)}`, advice);
    }
    const before = this.#section.entries.get(key);
    if (before !== undefined && this.#dialect.duplicates === 'refuse') {
      throw this.#wrong(
        line,
        `the key ${quoted(key)} is there twice: lines ${before.firstLine} and ${line.number}`,
        'Delete one of the two.',
      );
    }
    const value = content.slice(delimiter + 1).trim();
    this.#open = { key, parts: [value], firstLine: line.number, lastLine: line.number, indent };
  }

  /** The value that was being read is whole. */
  #close(): void {
    if (this.#open === undefined) return;
    const { key, parts, firstLine, lastLine } = this.#open;
    const value = parts.join('\n').trimEnd();
    this.#section?.entries.set(key, { key, value, firstLine, lastLine });
    this.#open = undefined;
  }

  #indentOf(content: string): number {
    let width = 0;
    for (const letter of content.slice(0, content.length - content.trimStart().length)) {
      width += letter === '\t' ? this.#dialect.tabWidth - (width % this.#dialect.tabWidth) : 1;
    }
    return width;
  }

  #wrong(line: Line, message: string, advice: string) {
    return complaint(this.#file, line.number, message, advice);
  }
}
