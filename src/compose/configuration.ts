// Composition, both configuration files together: which boards there are, how they are wired, whose printer they are.
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { boardByName, boardNames, toolheadNames } from '../boards/boards.ts';
import { ROUTES } from '../boards/types.ts';
import type { HostSettings } from '../config/host-settings.ts';
import { readSettings, type BoardSettings, type PrinterSettings, type Settings } from '../config/settings.ts';
import { decodeConfig } from '../config/sections.ts';
import { wiringOf, type Wiring } from '../config/wiring.ts';
import { OctopusError, nearest } from '../errors.ts';
import type { HeaterSafety } from '../flash/heaters.ts';
import type { BoardPlace } from '../flash/place.ts';
import type { BoardBook } from '../methods/boards.ts';
import { HostFile } from './host-file.ts';
import type { Paths } from './paths.ts';

export interface Configuration {
  readonly settings: Settings;
  readonly hostFile: HostFile;
  /** Undefined without octopus-flasher.conf, or with one that names no board. */
  readonly boards: BoardBook | undefined;
}

/** Throws `bad-config`. */
export async function readConfiguration(paths: Paths): Promise<Configuration> {
  const bytes = await readFile(paths.config).catch((cause: unknown) => {
    if (typeof cause === 'object' && cause !== null && 'code' in cause && cause.code === 'ENOENT')
      return new Uint8Array();
    throw new OctopusError('bad-config', `${paths.config} cannot be read: ${String(cause)}`, {
      place: paths.config,
      advice: 'Give the file to the user that runs octopus-flasher.',
      cause,
    });
  });
  const facts = {
    home: paths.home,
    printerData: paths.printerData,
    knownBoards: [...boardNames(), ...toolheadNames()],
    knownRoutes: ROUTES,
  };
  const settings = readSettings(decodeConfig(bytes, paths.config), paths.config, facts);
  const hostFile = hostFileBeside(
    paths,
    settings.printers.map((printer) => dataPathOf(printer, paths)),
  );
  const host = await hostFile.read();
  const wiring = wiringOf(settings.boards, host, (model) => boardByName(model).kind === 'toolhead');
  const boards = settings.boards.length === 0 ? undefined : bookOf(settings.boards, wiring, host);
  return { settings, hostFile, boards };
}

/**
 * host.conf, to disarm: whoever may use Moonraker may spoil octopus-flasher.conf, and must not keep the owner from
 * that.
 */
export async function hostFileToDisarm(paths: Paths): Promise<HostFile> {
  return readConfiguration(paths).then(
    ({ hostFile }) => hostFile,
    () => hostFileBeside(paths, [paths.printerData]),
  );
}

function hostFileBeside(paths: Paths, dataPaths: readonly string[]): HostFile {
  return new HostFile(paths.hostConf, { home: paths.home, roots: dataPaths.flatMap(rootsOf) });
}

/** Moonraker's folder for this printer; its own Unix socket says where that is. */
export function dataPathOf({ moonraker }: PrinterSettings, paths: Paths): string {
  return moonraker.kind === 'unix' ? dirname(dirname(moonraker.path)) : paths.printerData;
}

/** What Moonraker's file manager can write (moonraker/components/file_manager). */
function rootsOf(dataPath: string): readonly string[] {
  return ['config', 'gcodes', 'logs'].map((name) => join(dataPath, name));
}

function bookOf(
  boards: readonly BoardSettings[],
  wiring: ReadonlyMap<string, Wiring>,
  host: HostSettings,
): BoardBook {
  const places = new Map(
    boards.map((board) => [board.name, () => placeOf(board, wiring.get(board.name), host)]),
  );
  const names = [...places.keys()];
  return {
    names,
    configured: names,
    onlyBoard: names.length === 1 ? names[0] : undefined,
    imageOf: (name) => boards.find((board) => board.name === name)?.image,
    place: (name) => {
      const place = places.get(name);
      if (place !== undefined) return place();
      const meant = nearest(name, names);
      throw new OctopusError('unknown-board', `there is no board "${name.slice(0, 100)}"`, {
        place: 'board',
        advice: `${meant === undefined ? '' : `Did you mean ${meant}? `}Configured: ${names.join(', ')}.`,
      });
    },
  };
}

/** Klipper's default of `canbus_interface`. */
const DEFAULT_INTERFACE = 'can0';

function placeOf(
  {
    name,
    board: model,
    mcu,
    serial,
    busPath,
    canbusUuid,
    canbusInterface,
    routes,
    keepBackups,
  }: BoardSettings,
  wiring: Wiring | undefined,
  host: HostSettings,
): BoardPlace {
  const board = boardByName(model);
  const isNode = board.kind === 'toolhead' || canbusUuid !== undefined;
  const unused = host.boards.get(name)?.unusedHeaters ?? [];
  return {
    board: { ...board, name },
    pins: wiring?.pins,
    heaters: heatersOf(board.heatersDrivenByRom, unused, wiring?.powerDevice),
    section: mcu,
    serial,
    busPath,
    can: isNode ? { interfaceName: canbusInterface ?? DEFAULT_INTERFACE, uuid: canbusUuid } : undefined,
    routes: routes?.flatMap((route) => ROUTES.find((known) => known === route) ?? []),
    keepBackups,
  };
}

/** @param driven as the boards' data has them: `HE2 (PB10)` */
function heatersOf(
  driven: readonly string[],
  unused: readonly string[],
  device: string | undefined,
): HeaterSafety {
  const names = driven.map((text) => text.split(' ')[0]?.toUpperCase() ?? '');
  if (names.every((name) => unused.some((one) => one.toUpperCase() === name))) return { kind: 'unused' };
  return device === undefined ? { kind: 'unknown' } : { kind: 'power', device };
}
