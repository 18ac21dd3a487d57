// Which lines of src/hardware were executed in guests, from what V8 wrote there: `bin/node tests/kernel/coverage.ts FOLDER`.
// A line counts if something of it is left without types and comments and it is more than brackets.
import { readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join, relative, resolve } from 'node:path';

const repo = resolve(import.meta.dirname, '../..');

export interface Checkout {
  readonly root: string;
  /** The root as V8 names it. */
  readonly url: string;
  readonly area: string;
}
const HARDWARE: Checkout = { root: repo, url: 'file:///opt/octopus/', area: 'src/hardware' };

interface V8Script {
  readonly url: string;
  readonly functions: readonly {
    readonly ranges: readonly {
      readonly startOffset: number;
      readonly endOffset: number;
      readonly count: number;
    }[];
  }[];
}

export interface FileCoverage {
  readonly file: string;
  readonly lines: number;
  readonly executed: number;
  /** Line numbers, the first is 1. */
  readonly missing: readonly number[];
}

/** Stripping keeps every character's place, so V8's offsets hold in the source too. */
function codeLines(source: string): { line: number; from: number; to: number }[] {
  const lines = stripTypeScriptTypes(source).split('\n');
  let offset = 0;
  let inComment = false;
  return lines.flatMap((text, index) => {
    const from = offset + text.length - text.trimStart().length;
    offset += text.length + 1;
    const code = text.trim();
    if (code.startsWith('/*')) inComment = true;
    const comment = inComment || code.startsWith('//');
    if (code.includes('*/')) inComment = false;
    return comment || !/\w/.test(code) ? [] : [{ line: index + 1, from, to: from + code.length }];
  });
}

/** Ranges come outermost first; the innermost has the word. */
function executedOffsets({ functions }: V8Script, length: number): Uint8Array {
  const counts = new Uint8Array(length);
  for (const { ranges } of functions)
    for (const { startOffset, endOffset, count } of ranges)
      counts.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  return counts;
}

function scriptsIn(folder: string): V8Script[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /coverage-.*\.json$/.test(name))
    .flatMap((name) => {
      try {
        return (JSON.parse(readFileSync(join(folder, name), 'utf8')) as { result: V8Script[] }).result;
      } catch {
        return []; // from a process that died while it wrote
      }
    });
}

/** @param folder what V8 wrote, at any depth. */
export function coverageOf(folder: string, { root, url: base, area } = HARDWARE): FileCoverage[] {
  const scripts = scriptsIn(folder);
  const files = readdirSync(join(root, area), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  return files.sort().map((name) => {
    const path = join(root, area, name);
    const source = readFileSync(path, 'utf8');
    const file = relative(root, path);
    const runs = scripts
      .filter(({ url }) => url === base + file)
      .map((script) => executedOffsets(script, source.length));
    const lines = codeLines(source);
    const missing = lines.filter(
      ({ from, to }) => !runs.some((counts) => counts.subarray(from, to).includes(1)),
    );
    return {
      file,
      lines: lines.length,
      executed: lines.length - missing.length,
      missing: missing.map(({ line }) => line),
    };
  });
}

/** `3, 7-9`. */
function spans(numbers: readonly number[]): string {
  const found: [number, number][] = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last !== undefined && number === last[1] + 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ');
}

export function report(files: readonly FileCoverage[]): { readonly text: string; readonly percent: number } {
  const sum = (key: 'lines' | 'executed') => files.reduce((total, file) => total + file[key], 0);
  const share = (executed: number, lines: number) => (lines === 0 ? 100 : (100 * executed) / lines);
  const percent = share(sum('executed'), sum('lines'));
  const rows = files.map(
    ({ file, lines, executed, missing }) =>
      `${file.padEnd(36)} ${share(executed, lines).toFixed(0).padStart(3)} %  ${executed}/${lines}${missing.length > 0 ? `  not: ${spans(missing)}` : ''}`,
  );
  const total = `Lines of src/hardware executed in the guest: ${percent.toFixed(1)} % (${sum('executed')} of ${sum('lines')})`;
  return { text: [...rows, total].join('\n'), percent };
}

if (import.meta.main) process.stdout.write(`${report(coverageOf(process.argv[2] ?? '.')).text}\n`);
