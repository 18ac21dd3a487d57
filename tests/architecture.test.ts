// The house rules that a machine can hold: who imports whom, what is pure, what ARCHITECTURE.md says.
import { expect, test } from '@jest/globals';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file: join('src', file), text: readFileSync(join(root, 'src', file), 'utf8') }));

/** `src/flash/lines.ts` belongs to `flash`, `src/errors.ts` to `errors`. */
const areaOf = (file: string) =>
  file
    .replace(/^src\//, '')
    .replace(/\.ts$/, '')
    .split('/')[0] ?? '';

// design, "Who may import whom". `types of X` is written as `X (types)`.
const MAY_IMPORT: Record<string, readonly string[]> = {
  errors: [],
  log: [],
  kept: [],
  ports: ['errors'],
  firmware: ['errors'],
  protocol: ['firmware (types)', 'errors', 'ports (types)'],
  boards: ['firmware', 'errors'],
  config: ['errors'],
  flash: ['ports', 'protocol', 'firmware', 'boards', 'kept', 'errors'],
  jobs: ['flash (types)', 'ports', 'kept', 'errors'],
  methods: ['jobs', 'flash', 'protocol', 'boards', 'ports', 'config', 'firmware', 'errors'],
  moonraker: ['methods', 'jobs', 'ports', 'errors'],
  cli: ['methods', 'jobs', 'ports', 'errors', 'log', 'flash (types)', 'firmware (types)'],
  hardware: ['ports', 'errors'],
  virtual: ['ports', 'errors'],
};
const EVERYTHING = new Set(['main', 'daemon', 'compose']);

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

function importsOf({ file, text }: { file: string; text: string }): Import[] {
  const found: Import[] = [];
  for (const match of text.matchAll(/^(import|export)\s+(type\s)?[^;]*?from\s+'([^']+)'/gms)) {
    found.push({ from: file, to: match[3] ?? '', typeOnly: match[2] !== undefined });
  }
  for (const match of text.matchAll(/\bimport\(\s*'([^']+)'/g))
    found.push({ from: file, to: match[1] ?? '', typeOnly: false });
  return found;
}

test('every area imports only what the design allows it', () => {
  const broken = sources.flatMap(importsOf).flatMap(({ from, to, typeOnly }) => {
    const area = areaOf(from);
    if (!to.startsWith('.') || EVERYTHING.has(area)) return [];
    const target = areaOf(relative(root, resolve(root, dirname(from), to)));
    const allowed = MAY_IMPORT[area] ?? [];
    if (target === area || allowed.includes(target) || (typeOnly && allowed.includes(`${target} (types)`)))
      return [];
    return [`${from} imports ${to}`];
  });
  expect(broken).toEqual([]);
});

test('every folder of src is in the import table', () => {
  const areas = new Set(sources.map(({ file }) => areaOf(file)));
  expect([...areas].filter((area) => !(area in MAY_IMPORT) && !EVERYTHING.has(area))).toEqual([]);
});

test('protocol and firmware are pure: no async, no timers, no clock, node: modules only where named', () => {
  // zlib and sha256 are pure functions of their bytes; each stands alone in its file with the reason.
  const exceptions = new Set(['src/firmware/inflate.ts', 'src/firmware/sha256.ts']);
  const impure = sources.flatMap(({ file, text }) => {
    const area = areaOf(file);
    if (area !== 'protocol' && area !== 'firmware') return [];
    const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    const words = [
      /\basync\b/,
      /\bawait\b/,
      /\bPromise\b/,
      /\bsetTimeout\b/,
      /\bDate\b/,
      /\bprocess\b/,
      /\bBuffer\b/,
      /Math\.random/,
    ];
    const found = words.filter((word) => word.test(code)).map((word) => `${file}: ${word.source}`);
    if (/from 'node:/.test(code) && !exceptions.has(file)) found.push(`${file}: node module`);
    return found;
  });
  expect(impure).toEqual([]);
});

test('no core is called without yield*', () => {
  const cores = sources
    .filter(({ file }) => areaOf(file) === 'protocol')
    .flatMap(({ text }) => [...text.matchAll(/function\*\s+(\w+)/g)].map((match) => match[1] ?? ''));
  expect(cores.length).toBeGreaterThan(8);
  const call = new RegExp(`(yield\\*\\s+|function\\*\\s+)?\\b(${cores.join('|')})\\(`, 'g');
  const forgotten = sources
    .filter(({ file }) => areaOf(file) === 'protocol')
    .flatMap(({ file, text }) =>
      [...text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '').matchAll(call)]
        .filter((match) => match[1] === undefined)
        .map((match) => `${file}: ${match[0]}`),
    );
  expect(forgotten).toEqual([]);
});

test('no file of the product is longer than one idea', () => {
  const long = sources
    .map(({ file, text }) => `${file}: ${text.split('\n').length - 1}`)
    .filter((line) => Number(line.split(': ')[1]) > 260);
  expect(long).toEqual([]);
});

test('nothing of the product waits a fixed time through setTimeout', () => {
  const waits = sources.filter(
    ({ file, text }) =>
      !file.startsWith('src/virtual/') && !file.startsWith('src/hardware/') && /\bsetTimeout\(/.test(text),
  );
  expect(waits.map(({ file }) => file)).toEqual([]);
});

const architecture = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');

test('ARCHITECTURE.md is one page, and names what exists', () => {
  expect(architecture.split('\n').length).toBeLessThanOrEqual(180);
  const named = [...architecture.matchAll(/`((?:src|tests|bin|\.ci)\/[\w./-]+)`/g)].map(
    (match) => match[1] ?? '',
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test('ARCHITECTURE.md shows every folder of src and every file of the walk', () => {
  const folders = readdirSync(join(root, 'src'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `src/${entry.name}/`);
  const walk = sources.map(({ file }) => file).filter((file) => areaOf(file) === 'flash');
  const missing = [...folders, ...walk].filter((path) => !architecture.includes(path));
  expect(missing).toEqual([]);
});
