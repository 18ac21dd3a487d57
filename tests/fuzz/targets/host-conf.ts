// Fuzz: host.conf, which alone opens guards. Taken as a second reader takes it, and refused whenever others may have written
// it; arming changes that one word and nothing else.
import {
  readHostSettings,
  withArmed,
  type HostFileFacts,
  type HostSettings,
} from '../../../src/config/host-settings.ts';
import { decodeConfig } from '../../../src/config/sections.ts';
import { readCfgTwice } from '../cfg.ts';
import { HOST_FILES } from '../conf-files.ts';
import { holds, target, type Fate } from '../target.ts';
import { refused } from './configuration.ts';
import { spoiltFile } from './printer-cfg.ts';

interface Host {
  readonly bytes: Uint8Array;
  readonly facts: HostFileFacts;
  readonly isArmed: boolean;
}

const MAIN = 'octopus-flasher';
const YES = new Set(['1', 'yes', 'true', 'on']);
const ROOTS = ['/home/pi/printer_data/config', '/home/pi/printer_data/gcodes'];

export const hostConf = target<Host>({
  name: 'host-conf',
  show: ({ bytes }) => bytes,
  input: (random) => ({
    bytes: spoiltFile(random, random.pick(HOST_FILES)),
    facts: {
      home: random.pick(['/home/pi', '/home/pi', '/']),
      mode: random.oneIn(8) ? random.below(0o1000) : random.pick([0o600, 0o400, 0o644]),
      isOwn: !random.oneIn(16),
      real: random.oneIn(16) ? `${ROOTS[0]}/host.conf` : '/home/pi/printer_data/octopus-flasher/host.conf',
      roots: ROOTS,
    },
    isArmed: random.oneIn(2),
  }),
  check: ({ bytes, facts, isArmed }): Fate => {
    let text = '';
    let read: HostSettings;
    try {
      text = decodeConfig(bytes, 'host.conf');
      read = readHostSettings(text, 'host.conf', facts);
    } catch (error) {
      return refused(error, 'host.conf', text);
    }
    const isPrivate = facts.isOwn && (facts.mode & 0o022) === 0 && !facts.real.startsWith(`${ROOTS[0]}/`);
    holds(isPrivate, 'taken, although others may have written it');
    const second = readCfgTwice(text, true);
    holds(second !== undefined, 'taken, where a second reader finds a fault');
    const main = second.get(MAIN);
    holds(
      read.isArmed === YES.has(main?.get('armed')?.toLowerCase() ?? ''),
      'armed is not what stands there',
    );
    holds(
      read.allowsUploads === YES.has(main?.get('allow_uploads')?.toLowerCase() ?? ''),
      'uploads are not what stands there',
    );
    for (const { path } of [...read.firmwareFolders, ...read.sources.values()])
      holds(path.startsWith('/') && !path.split('/').includes('..'), `the folder ${path}`);
    for (const { path } of read.firmwareFolders)
      holds(path !== '/' && path !== facts.home, `the folder ${path}`);
    checkArming(text, facts, read, isArmed);
    return 'taken';
  },
  fates: ['taken', 'bad-config'],
});

function checkArming(text: string, facts: HostFileFacts, read: HostSettings, isArmed: boolean): void {
  const armed = withArmed(text, 'host.conf', facts, isArmed);
  const after = readHostSettings(armed, 'host.conf', facts);
  holds(after.isArmed === isArmed, 'arming has not armed, or disarming not disarmed');
  holds(plain({ ...after, isArmed: read.isArmed }) === plain(read), 'arming has changed something else');
  // Every line is still there, but that of the word itself.
  const lines = new Map<string, number>();
  for (const line of text.split(/\r\n|\n|\r/)) lines.set(line, (lines.get(line) ?? 0) + 1);
  for (const line of armed.split(/\r\n|\n|\r/)) lines.set(line, (lines.get(line) ?? 0) - 1);
  const lost = [...lines].filter(([line, count]) => count > 0 && line !== '');
  holds(
    lost.every(([line]) => /armed/i.test(line) || /^\s/.test(line)),
    `lost: ${lost.join('; ')}`,
  );
}

const plain = (settings: HostSettings) =>
  JSON.stringify(settings, (key, value: unknown) =>
    key === 'reader' || key === 'line'
      ? undefined
      : value instanceof Map
        ? [...(value as Map<unknown, unknown>)]
        : value,
  );
