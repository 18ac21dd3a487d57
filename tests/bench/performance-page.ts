// docs/performance.md has two writers: what one of them writes leaves the other's part as it is.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';

const PAGE = resolve(import.meta.dirname, '../../docs/performance.md');
const [BEGIN, END] = ['<!-- npm run bench:install -->', '<!-- end of npm run bench:install -->'];

/** @returns the page before and after the part of bench:install, and that part with its marks. */
function parts(): readonly [string, string] {
  const text = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '';
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin === -1 || end === -1) return [text, ''];
  return [text.slice(0, begin) + text.slice(end + END.length), text.slice(begin, end + END.length)];
}

/** Everything but the part of bench:install. */
export function writeRaces(text: string): void {
  const [, installation] = parts();
  write(text, installation);
}

export function writeInstallation(text: string): void {
  const [races] = parts();
  write(races, `${BEGIN}\n\n${text.trim()}\n\n${END}`);
}

const write = (races: string, installation: string) =>
  writeFileSync(PAGE, [races.trim(), installation].filter((part) => part !== '').join('\n\n') + '\n');
