// Fuzz: octopus-flasher.conf, which anybody may write who may use Moonraker, beside the owner's host.conf. What both are taken
// for keeps every promise: names are fit for files, paths are whole, pins are the owner's alone, and no two boards share one.
import { boardByName, boardNames, toolheadNames } from '../../../src/boards/boards.ts';
import { ROUTES } from '../../../src/boards/types.ts';
import { NO_HOST_SETTINGS, readHostSettings, type HostSettings } from '../../../src/config/host-settings.ts';
import { DEFAULT_PINS } from '../../../src/config/pins.ts';
import { decodeConfig } from '../../../src/config/sections.ts';
import { readSettings, type Settings } from '../../../src/config/settings.ts';
import { wiringOf } from '../../../src/config/wiring.ts';
import { OctopusError } from '../../../src/errors.ts';
import { readCfgTwice } from '../cfg.ts';
import { HOST_FILES, SETTINGS_FILES } from '../conf-files.ts';
import { holds, refusalCode, target, type Fate } from '../target.ts';
import { spoiltFile } from './printer-cfg.ts';

interface Files {
  readonly settings: Uint8Array;
  readonly host: Uint8Array | undefined;
}

const HOME = '/home/pi';
const FACTS = { home: HOME, knownBoards: [...boardNames(), ...toolheadNames()], knownRoutes: ROUTES };
const HOST_FACTS = { home: HOME, mode: 0o600, isOwn: true, real: `${HOME}/host.conf`, roots: [] };
const isToolhead = (model: string) => boardByName(model).kind === 'toolhead';

export const configuration = target<Files>({
  name: 'configuration',
  show: ({ settings, host }) => Buffer.concat([settings, Buffer.from('\n---\n'), host ?? new Uint8Array(0)]),
  input: (random) => {
    const at = random.below(SETTINGS_FILES.length);
    const host = HOST_FILES[at] ?? '';
    return {
      settings: spoiltFile(random, SETTINGS_FILES[at] ?? ''),
      host: random.oneIn(3) ? undefined : random.oneIn(2) ? Buffer.from(host) : spoiltFile(random, host),
    };
  },
  check: ({ settings: bytes, host: hostBytes }): Fate => {
    let text = '';
    let settings: Settings;
    try {
      text = decodeConfig(bytes, 'a.conf');
      settings = readSettings(text, 'a.conf', FACTS);
    } catch (error) {
      return refused(error, 'a.conf', text);
    }
    checkSettings(settings, text);
    let hostText = '';
    let host: HostSettings = NO_HOST_SETTINGS;
    try {
      hostText = hostBytes === undefined ? '' : decodeConfig(hostBytes, 'host.conf');
      if (hostBytes !== undefined) host = readHostSettings(hostText, 'host.conf', HOST_FACTS);
      checkWiring(settings, host);
      return 'taken';
    } catch (error) {
      return `both: ${refused(error, '', `${text}\n${hostText}`)}`;
    }
  },
  fates: ['taken', 'bad-config', 'both: bad-config'],
});

/** With file and line, and in ASCII: consoles of printers take nothing else. */
export function refused(error: unknown, file: string, text: string): Fate {
  const code = refusalCode(error, ['bad-config']);
  if (!(error instanceof OctopusError)) return code;
  const { place = '', message, advice } = error;
  const [, name = '', line = '1'] = /^(.*?)(?::(\d+))?$/.exec(place) ?? [];
  const lines = text.split(/\r\n|\n|\r/).length;
  holds(name.startsWith(file === '' ? '' : file) && name !== '', `at "${place}"`);
  holds(Number(line) >= 1 && Number(line) <= lines, `at line ${line} of ${lines}`);
  holds(/^[ -~]+$/.test(message + advice), `not in ASCII: ${message} ${advice}`);
  return code;
}

function checkSettings(settings: Settings, text: string): void {
  const second = readCfgTwice(text, true);
  holds(second !== undefined, 'taken, where a second reader finds a fault');
  for (const { moonraker } of settings.printers) {
    if (moonraker.kind === 'unix') holds(isWhole(moonraker.path), `a socket at ${moonraker.path}`);
    if (moonraker.kind !== 'websocket') continue;
    const { protocol, username, password, search, hash, pathname } = new URL(moonraker.url);
    holds(/^wss?:$/.test(protocol) && pathname.endsWith('/websocket'), moonraker.url);
    holds(username + password + search + hash === '', `a login in ${moonraker.url}`);
  }
  for (const board of settings.boards) {
    const own = second.get(
      [...second.keys()].find((key) => key.split(/\s+/).join(' ') === `board ${board.name}`) ?? '',
    );
    holds(own !== undefined, `there is no section of ${board.name}`);
    // What is kept of a board is kept under its name: src/ports/store.ts.
    holds(
      /^[a-z0-9._-]+$/.test(board.name) && !/^\.+$/.test(board.name),
      `nothing can be kept of "${board.name}"`,
    );
    holds(FACTS.knownBoards.includes(board.board), `a board "${board.board}"`);
    holds(
      settings.printers.some(({ name }) => name === board.printer),
      `of the printer "${board.printer}"`,
    );
    holds(board.serial === own.get('serial'), `the serial port ${board.serial}`);
    holds(
      board.serial === undefined || /^\/dev\/[^/]+(\/by-(id|path)\/[^/]+)?$/.test(board.serial),
      `port ${board.serial}`,
    );
    holds(
      board.canbusUuid === undefined || board.canbusUuid === own.get('canbus_uuid')?.toLowerCase(),
      'another uuid',
    );
    const { image } = board;
    if (image !== undefined)
      holds(/^(build|backup|upload):[^/\0]+$/.test(image) || isWhole(image), `the image ${image}`);
    holds(
      board.routes?.every((route) => FACTS.knownRoutes.some((known) => known === route)) !== false,
      'a strange route',
    );
  }
}

function checkWiring({ boards }: Settings, host: HostSettings): void {
  const wiring = wiringOf(boards, host, isToolhead);
  const taken = new Set<string>();
  for (const { name } of boards) {
    const { pins } = wiring.get(name) ?? {};
    holds(wiring.has(name), `${name} has no wiring`);
    if (pins === undefined) continue;
    const own = host.boards.get(name)?.pins;
    holds(
      pins.boot0 === (own?.boot0 ?? DEFAULT_PINS.boot0),
      `BOOT0 on ${pins.boot0}, which the owner never said`,
    );
    holds(
      pins.nrst === (own?.nrst ?? DEFAULT_PINS.nrst),
      `reset on ${pins.nrst}, which the owner never said`,
    );
    for (const pin of [pins.boot0, pins.nrst]) {
      const line = pin.replace(/^gpiochip0\//, '').replace(/(^|\/)(\d+)$/, '$1gpio$2');
      holds(!taken.has(line), `${line} twice`);
      taken.add(line);
    }
  }
}

const isWhole = (path: string) =>
  path === '/' ||
  (path.startsWith('/') && path.split('/').every((part, at) => part !== '..' && (at === 0 || part !== '')));
