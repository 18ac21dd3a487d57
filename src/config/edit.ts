// Configuration: one key changed in place; every other byte stays.
import { complaint, quoted } from './complaint.ts';
import { readDocument, serialize, type ConfigDocument, type Line, type Section } from './sections.ts';

/**
 * The file's text with `key` of `section` being `value`, on one line. What is not there yet is added: the key below
 * the last one of its section, the section at the end. Comments stay, also those behind and between the old value.
 * Throws `bad-config` for a value that would not be read back as it is.
 */
export function withValue(document: ConfigDocument, section: string, key: string, value: string): string {
  const before = document.sections.get(section);
  const changed =
    before === undefined
      ? addSection(document, section, key, value)
      : inSection(document, before, key, value);
  const after = readAgain(changed, document)?.sections.get(section)?.entries.get(key)?.value;
  if (after === value) return changed;
  throw complaint(
    document.file,
    before?.line,
    `${quoted(value)} cannot be written as the value of ${quoted(key)}`,
    'Use one line of text without "#" and ";" behind a space.',
  );
}

/** The edited text as a document, or undefined when the edit made it none. */
function readAgain(text: string, { file, dialect }: ConfigDocument): ConfigDocument | undefined {
  try {
    return readDocument(text, file, dialect);
  } catch {
    return undefined;
  }
}

function inSection(document: ConfigDocument, section: Section, key: string, value: string): string {
  const entry = section.entries.get(key);
  if (entry === undefined) {
    const last = [...section.entries.values()].toSorted((a, b) => a.lastLine - b.lastLine).at(-1);
    // Behind a header what is indented deeper than the new key would become part of its value.
    const neighbour =
      last === undefined
        ? document.lines.find(({ number, content: text }) => number > section.line && text.trim() !== '')
        : document.lines[last.firstLine - 1];
    const content = neighbour?.content ?? '';
    const indent = content.slice(0, content.length - content.trimStart().length);
    return insertBelow(document, last?.lastLine ?? section.line, `${indent}${key}: ${value}`);
  }
  const lines = document.lines.flatMap((line) => {
    if (line.number === entry.firstLine) return [{ ...line, content: replaced(line, value) }];
    const isOldValue = line.number > entry.firstLine && line.number <= entry.lastLine;
    return isOldValue && line.content.trim() !== '' ? keptComment(line) : [line];
  });
  return serialize({ ...document, lines });
}

/** `key = old  ` becomes `key = new  `; a comment keeps at least one space in front. */
function replaced({ content, comment }: Line, value: string): string {
  const head = /^[^:=]*[:=][^\S\r\n]*/.exec(content)?.[0] ?? '';
  const tail = head.length >= content.length ? '' : content.slice(content.trimEnd().length);
  const gap = tail === '' && comment !== '' ? ' ' : tail;
  return `${/[:=]$/.test(head) ? `${head} ` : head}${value}${gap}`;
}

/** A line of the old value goes; the comment behind it stays, on a line of its own. */
function keptComment(line: Line): Line[] {
  return line.comment === '' ? [] : [{ ...line, content: '', comment: line.comment.trimStart() }];
}

function addSection(document: ConfigDocument, section: string, key: string, value: string): string {
  const end = lineEnd(document);
  const text = serialize(document);
  const isEnded = document.lines.length === 0 || document.lines.at(-1)?.end !== '';
  const gap = document.lines.length === 0 ? '' : end;
  return `${text}${isEnded ? '' : end}${gap}[${section}]${end}${key}: ${value}${end}`;
}

function insertBelow(document: ConfigDocument, number: number, text: string): string {
  const end = lineEnd(document);
  const added: Line = { number: 0, content: text, comment: '', end };
  const lines = document.lines.flatMap((line): Line[] => {
    if (line.number !== number) return [line];
    return line.end === ''
      ? [
          { ...line, end },
          { ...added, end: '' },
        ]
      : [line, added];
  });
  return serialize({ ...document, lines });
}

/** The line ending that the file has. */
const lineEnd = ({ lines }: ConfigDocument) => lines.find(({ end }) => end !== '')?.end ?? '\n';
