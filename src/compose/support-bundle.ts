// Composition, `octopus support-bundle`: what somebody needs who helps from afar, in one file, without secrets.
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { arch, release, tmpdir, totalmem, userInfo } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import type { Settings, SupportBundle } from '../cli/world.ts';
import { OctopusError } from '../errors.ts';
import { pathsFor, type Paths } from './paths.ts';
import { secretsIn, withoutSecrets } from './secrets.ts';

/** Of a longer file the end is taken. */
const FILE_MAX_BYTES = 2 * 1024 * 1024;
const JOURNAL_LINES = 5000;
const COMMAND_MS = 20_000;
const COMMAND_MAX_BYTES = 16 * 1024 * 1024;
/** What updates may have changed beside us. */
const TREES = ['klipper', 'kalico', 'katapult', 'moonraker', 'mainsail-config'];

/**
 * Writes the bundle, for its owner alone (0600). What is not there is left out.
 * @param answers what methods have said, by name
 * @param target the file; undefined for one in the home folder
 * Throws `store-failed`.
 */
export async function writeSupportBundle(
  settings: Settings,
  version: string,
  answers: Readonly<Record<string, unknown>>,
  target: string | undefined,
): Promise<SupportBundle> {
  const paths = pathsFor(settings);
  const name = `octopus-support-${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-')}`;
  const file = target === undefined ? join(paths.home, `${name}.tar.gz`) : resolve(target);
  const work = await mkdtemp(join(tmpdir(), 'octopus-support-'));
  const unfinished = `${file}.part`;
  try {
    const texts = await collect(paths, version, answers);
    const known = [...texts]
      .filter(([key]) => key.startsWith('config/'))
      .flatMap(([, text]) => secretsIn(text));
    for (const [key, text] of texts) {
      const path = join(work, name, key);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, withoutSecrets(text, known), { mode: 0o600 });
    }
    await run('tar', ['-czf', unfinished, '-C', work, name]);
    await chmod(unfinished, 0o600);
    await rename(unfinished, file);
    return { file, sizeBytes: (await stat(file)).size, contents: [...texts.keys()] };
  } catch (cause) {
    await rm(unfinished, { force: true });
    throw new OctopusError('store-failed', `${file} cannot be written: ${String(cause)}`, {
      place: file,
      advice: 'Name another place with --output, and check that tar is installed.',
      cause,
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

type Texts = Map<string, string>;

async function collect(
  paths: Paths,
  version: string,
  answers: Readonly<Record<string, unknown>>,
): Promise<Texts> {
  const texts: Texts = new Map();
  for (const [name, answer] of Object.entries(answers)) texts.set(`${name}.json`, pretty(answer));
  texts.set('about.json', pretty(await about(paths, version)));
  const config = dirname(paths.config);
  const own = dirname(paths.hostConf);
  for (const file of [paths.config, join(config, 'octopus-flasher-moonraker.conf'), paths.hostConf])
    await add(texts, `config/${basename(file)}`, file);
  for (const [folder, name] of [
    [dirname(paths.log), basename(paths.log)],
    [dirname(paths.audit), basename(paths.audit)],
  ] as const)
    for (const file of await namesIn(folder))
      if (file.startsWith(name)) await add(texts, `logs/${file}`, join(folder, file));
  // Journals, memories of boards, descriptions of backups: everything but the copies of firmware themselves.
  for (const folder of new Set([own, paths.data]))
    for (const file of await filesBelow(folder))
      if (file.endsWith('.json')) await add(texts, `data/${relative(folder, file)}`, file);
  const journal = ['-u', 'octopus-flasher', '-n', String(JOURNAL_LINES), '--no-pager', '-o', 'short-iso'];
  const said = await run('journalctl', journal).catch((): undefined => undefined);
  if (said !== undefined) texts.set('logs/journalctl.txt', said);
  return texts;
}

async function about(paths: Paths, version: string): Promise<object> {
  const tree = resolve(import.meta.dirname, '../..');
  const describe = (folder: string) =>
    run('git', ['-C', folder, 'describe', '--tags', '--always', '--dirty', '--long']).then(
      (text) => text.trim(),
      (): undefined => undefined,
    );
  const trees = await Promise.all(TREES.map(async (name) => [name, await describe(join(paths.home, name))]));
  const os = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return {
    version,
    commit: await describe(tree),
    node: process.version,
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(os)?.[1],
    kernel: release(),
    machine: arch(),
    model: (await readFile('/proc/device-tree/model', 'latin1').catch(() => '')).replaceAll('\0', ''),
    memoryMiB: Math.round(totalmem() / 1024 / 1024),
    user: userInfo().username,
    groups: process.getgroups?.(),
    unit: await run('systemctl', ['show', 'octopus-flasher', '-p', UNIT_FACTS]).catch(
      (): undefined => undefined,
    ),
    trees: Object.fromEntries(trees),
    serial: await namesIn('/dev/serial/by-id'),
    gpiochips: (await namesIn('/dev')).filter((name) => name.startsWith('gpiochip')),
    network: (await namesIn('/sys/class/net')).filter((name) => name.includes('can')),
  };
}
const UNIT_FACTS =
  'ActiveState,SubState,Result,NRestarts,ExecMainStatus,ActiveEnterTimestamp,FragmentPath,DropInPaths';

async function add(texts: Texts, name: string, file: string): Promise<void> {
  const bytes = await readFile(file).catch((): undefined => undefined);
  if (bytes === undefined) return;
  const cut = Math.max(0, bytes.length - FILE_MAX_BYTES);
  // From a line's beginning: of half a line nobody knows what it shows.
  const from = cut === 0 ? 0 : bytes.indexOf(0x0a, cut) + 1;
  texts.set(name, bytes.toString('utf8', from === 0 && cut > 0 ? bytes.length : from));
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch(() => []);
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

function pretty(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise((done, reject) => {
    const options = { timeout: COMMAND_MS, maxBuffer: COMMAND_MAX_BYTES, encoding: 'utf8' } as const;
    execFile(program, [...args], options, (error, out) => {
      if (error === null) done(out);
      else reject(error);
    });
  });
}
