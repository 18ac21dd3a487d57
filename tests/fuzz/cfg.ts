// A second reader of `[section]` and `key: value`, letter by letter, from Klipper's and Moonraker's documents: what the
// product takes must be what stands there.

export type Cfg = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** `strict` is Moonraker's way (and ours): nothing twice, no control characters; else it is Klipper's. */
export function readCfgTwice(text: string, strict: boolean): Cfg | undefined {
  const sections = new Map<string, Map<string, string>>();
  let section: Map<string, string> | undefined;
  let open: { key: string; parts: string[]; indent: number } | undefined;
  const close = (): void => {
    if (open !== undefined) section?.set(open.key, open.parts.join('\n').trimEnd());
    open = undefined;
  };
  for (const line of linesOf(text.startsWith('\uFEFF') ? text.slice(1) : text)) {
    if (
      strict &&
      [...line].some((letter) => letter !== '\t' && letter !== '\n' && (letter < ' ' || letter === '\x7f'))
    )
      return undefined;
    const { before, comment } = cutComment(line, strict);
    const content = before.trim();
    if (content === '') {
      if (!strict && !comment.startsWith(';')) open?.parts.push('');
      continue;
    }
    const indent = indentOf(before, strict ? 4 : 1);
    if (open !== undefined && indent > open.indent) {
      open.parts.push(content);
      continue;
    }
    close();
    if (content.startsWith('[')) {
      const name = headerOf(content, strict);
      if (name === undefined || (strict && sections.has(name))) return undefined;
      section = sections.get(name) ?? new Map<string, string>();
      sections.set(name, section);
      continue;
    }
    const at = [...content].findIndex((letter) => letter === ':' || letter === '=');
    const units = at < 0 ? -1 : [...content].slice(0, at).join('').length;
    const key = content.slice(0, Math.max(units, 0)).trim().toLowerCase();
    if (section === undefined || key === '' || (strict && section.has(key))) return undefined;
    open = { key, parts: [content.slice(units + 1).trim()], indent };
  }
  close();
  return sections;
}

function linesOf(text: string): string[] {
  return text.replaceAll('\r\n', '\n').replaceAll('\r', '\n').split('\n');
}

const isSpace = (letter: string | undefined) => letter !== undefined && letter.trim() === '';

/** Moonraker's escaped signs are unescaped on the way. */
function cutComment(line: string, strict: boolean): { before: string; comment: string } {
  let before = '';
  for (let at = 0; at < line.length; at++) {
    const letter = line.charAt(at);
    const isBehindSpace = at === 0 || isSpace(line[at - 1]);
    if ((letter === '#' && (!strict || isBehindSpace)) || (letter === ';' && isBehindSpace))
      return { before, comment: line.slice(at) };
    const isEscape = strict && letter === '\\' && at > 0 && isSpace(line[at - 1]);
    if (isEscape && (line[at + 1] === '#' || line[at + 1] === ';')) continue;
    before += letter;
  }
  return { before, comment: '' };
}

function indentOf(text: string, tabWidth: number): number {
  let width = 0;
  for (let at = 0; isSpace(text[at]); at++) width += text[at] === '\t' ? tabWidth - (width % tabWidth) : 1;
  return width;
}

function headerOf(content: string, strict: boolean): string | undefined {
  if (!strict) {
    const end = content.lastIndexOf(']');
    return end > 1 ? content.slice(1, end) : undefined;
  }
  const inside = content.slice(1, -1);
  const isOne = content.endsWith(']') && content.length > 2 && !/[[\]]/.test(inside);
  const name = inside.trim();
  return isOne && name !== '' ? name : undefined;
}
