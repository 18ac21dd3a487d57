// Mutations of text: lines moved, doubled, joined and spoilt, and the letters that readers stumble over.
import type { Random } from './random.ts';

const LETTERS = [
  ...' \t\n\r:=[]#;,"\'\\/%{}~!^$.-+_0159aAzZ',
  '\r\n',
  '\0',
  '\u001b',
  '\u007f',
  '\u00a0',
  '\u0130',
  '\u2028',
  '\ud800',
  '\ufeff',
  '\u{1f419}',
  '..',
  '//',
  '  ',
  '__proto__',
  'constructor',
  '-1',
  '1e999',
  '99999999999999999999',
] as const;
const MOST_LETTERS = 1 << 19;

/** `text` with a few changes; now and then none. @param words what may stand anywhere in such a text */
export function mutateText(random: Random, text: string, words: readonly string[] = []): string {
  let now = text;
  if (random.oneIn(16)) return now;
  for (let count = random.few(6); count > 0; count--)
    now = random.oneIn(2) ? lineChanged(random, now, words) : letterChanged(random, now, words);
  return now;
}

function lineChanged(random: Random, text: string, words: readonly string[]): string {
  const lines = text.split(/(?<=\n)/);
  const at = random.below(lines.length);
  const line = lines[at] ?? '';
  switch (random.below(9)) {
    case 0:
      lines.splice(at, 1);
      break;
    case 1:
      lines.splice(random.below(lines.length), 0, line);
      break;
    case 2: {
      const times = random.oneIn(64) ? random.between(100, 3000) : random.between(1, 4);
      if (text.length + times * line.length < MOST_LETTERS) lines.splice(at, 0, ...Array(times).fill(line));
      break;
    }
    case 3:
      lines[at] = ' '.repeat(random.below(9)) + line;
      break;
    case 4:
      lines[at] = line.trimStart();
      break;
    case 5:
      lines[at] = line.replace(/\n$/, random.pick(['', '\r', '\r\n', '\n\n', ' \n']));
      break;
    case 6:
      lines.splice(at, 1);
      lines.splice(random.below(lines.length + 1), 0, line);
      break;
    case 7:
      lines[at] = line.toUpperCase();
      break;
    default:
      lines.splice(at, 0, `${words.length === 0 ? letters(random) : random.pick(words)}\n`);
  }
  return lines.join('');
}

function letterChanged(random: Random, text: string, words: readonly string[]): string {
  const at = random.below(text.length + 1);
  const length = random.oneIn(8) ? random.below(text.length - at + 1) : random.below(6);
  const before = text.slice(0, at);
  switch (random.below(7)) {
    case 0:
      return before + text.slice(at + length);
    case 1:
      return before + letters(random) + text.slice(at);
    case 2:
      return before + letters(random) + text.slice(at + length);
    case 3:
      return before + (words.length === 0 ? letters(random) : random.pick(words)) + text.slice(at);
    case 4:
      return before;
    case 5: {
      const piece = text.slice(at, at + Math.max(1, length));
      const times = random.oneIn(64) ? random.between(100, 5000) : random.between(1, 5);
      return text.length + times * piece.length > MOST_LETTERS
        ? text
        : before + piece.repeat(times) + text.slice(at);
    }
    default: {
      const code = text.charCodeAt(at);
      const other = String.fromCharCode((Number.isNaN(code) ? 0 : code) ^ (1 << random.below(8)));
      return before + other + text.slice(at + 1);
    }
  }
}

function letters(random: Random): string {
  let all = '';
  for (let count = random.few(5); count > 0; count--) all += random.pick(LETTERS);
  return all;
}
