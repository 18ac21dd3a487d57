// Configuration: octopus-flasher.conf, which anybody may edit who may use Moonraker: nothing here opens a guard.
import { complaint, quoted, suggestion } from './complaint.ts';
import {
  readApiKey,
  readBusPath,
  readCanbusInterface,
  readCanbusUuid,
  readImage,
  readListen,
  readMoonraker,
  readSerial,
  type ListenAddress,
  type MoonrakerAddress,
} from './locations.ts';
import { readPins, type PinKeys } from './pins.ts';
import { SectionReader } from './section-reader.ts';
import { readDocument, type ConfigDocument } from './sections.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface PrinterSettings {
  /** From `[printer NAME]`; `printer` where there is only one. */
  readonly name: string;
  readonly moonraker: MoonrakerAddress;
  readonly apiKey: string | undefined;
  /** One of Moonraker's notifiers, for results. */
  readonly notifier: string | undefined;
}

export interface BoardSettings {
  /** From `[board NAME]`: what requests and messages call it. */
  readonly name: string;
  /** Which of the known boards it is. */
  readonly board: string;
  /** The printer that it belongs to. */
  readonly printer: string;
  /** What this file says about the lines; only `agreedPins` says what holds. */
  readonly pins: PinKeys;
  readonly image: string | undefined;
  readonly serial: string | undefined;
  readonly busPath: string | undefined;
  readonly notifier: string | undefined;
  /** Its section in printer.cfg: `mcu`, or `mcu NAME`. */
  readonly mcu: string;
  /** Of a node on a CAN bus; else it is looked up in printer.cfg under `mcu`. */
  readonly canbusUuid: string | undefined;
  readonly canbusInterface: string | undefined;
  /** The ways into its bootloader that its owner wants, in this order. */
  readonly routes: readonly string[] | undefined;
  /** So many of the newest copies of its flash are kept, beside those that always are. */
  readonly keepBackups: number | undefined;
  /** For errors that show only later, at the line of their key. */
  readonly reader: SectionReader;
}

export interface Settings {
  readonly logLevel: LogLevel;
  /** Where the page is served; undefined: nowhere. */
  readonly listen: ListenAddress | undefined;
  readonly printers: readonly PrinterSettings[];
  readonly boards: readonly BoardSettings[];
}

/** What the file is read against. */
export interface SettingsFacts {
  /** Stands for `~`. */
  readonly home: string;
  /** Klipper's and Moonraker's folder where a printer names none; `~/printer_data` unless given. */
  readonly printerData?: string;
  /** The names that `board:` may have. */
  readonly knownBoards: readonly string[];
  /** The words that `routes:` may have. */
  readonly knownRoutes?: readonly string[];
}

const MAIN = 'octopus-flasher';
const HOST_ONLY =
  'It belongs into host.conf on the host (see "octopus doctor"): this file can be edited through Moonraker.';
/** Keys that only the owner may set, and that people look for here. */
const ELSEWHERE = {
  armed: `${HOST_ONLY} The command is: octopus arm.`,
  power_device: HOST_ONLY,
  allow_uploads: HOST_ONLY,
  firmware_folders: HOST_ONLY,
};
const ONE_PRINTER = 'printer';

/** Throws `bad-config` with file, line and the nearest spelling for whatever is not understood. */
export function readSettings(text: string, file: string, facts: SettingsFacts): Settings {
  const document = readDocument(text, file);
  requireKnownSections(document, ['board', 'printer']);
  const main = new SectionReader(document, MAIN);
  const logLevel = main.choice('log_level', LOG_LEVELS) ?? 'info';
  const listen = readListen(main, 'listen');
  const named = readersOf(document, 'printer');
  const printers =
    named.length === 0
      ? [readPrinter(main, ONE_PRINTER, facts)]
      : named.map(({ name, reader }) => finished(reader, readPrinter(reader, name, facts)));
  main.finish({ ...ELSEWHERE, ...(named.length === 0 ? {} : inPrinters(named[0]?.name ?? '')) });
  const names = printers.map(({ name }) => name);
  const boards = readersOf(document, 'board').map(({ name, reader }) =>
    finished(reader, readBoard(reader, name, names, facts)),
  );
  return { logLevel, listen, printers, boards };
}

/** With several printers, what is asked of each does not stand in the common section. */
function inPrinters(first: string): Readonly<Record<string, string>> {
  const advice = `With [printer NAME] sections it stands in each of them: move it into [printer ${first}].`;
  return { moonraker: advice, api_key: advice, notifier: advice };
}

function readPrinter(reader: SectionReader, name: string, facts: SettingsFacts): PrinterSettings {
  const { home, printerData = `${home}/printer_data` } = facts;
  return {
    name,
    moonraker: readMoonraker(reader, 'moonraker', home) ?? {
      kind: 'unix',
      path: `${printerData}/comms/moonraker.sock`,
    },
    apiKey: readApiKey(reader, 'api_key'),
    notifier: reader.text('notifier'),
  };
}

function readBoard(
  reader: SectionReader,
  name: string,
  printers: readonly string[],
  { home, knownBoards, knownRoutes = [] }: SettingsFacts,
): BoardSettings {
  return {
    name,
    board: reader.choice('board', knownBoards) ?? boardFromName(reader, name, knownBoards),
    printer: reader.choice('printer', printers) ?? onlyPrinter(reader, printers),
    pins: readPins(reader),
    image: readImage(reader, 'image', home),
    serial: readSerial(reader, 'serial'),
    busPath: readBusPath(reader, 'bus_path'),
    notifier: reader.text('notifier'),
    mcu: readMcu(reader),
    canbusUuid: readCanbusUuid(reader, 'canbus_uuid'),
    canbusInterface: readCanbusInterface(reader, 'canbus_interface'),
    routes: readRoutes(reader, knownRoutes),
    keepBackups: reader.integer('keep_backups', { min: 1, max: 1000 }),
    reader,
  };
}

/** `mcu`, or the name of a second board with or without the word before it. */
function readMcu(reader: SectionReader): string {
  const [, name] = /^(?:mcu(?:\s+|$))?(.*)$/.exec(reader.text('mcu') ?? 'mcu') ?? [];
  if (name === undefined || name === '') return 'mcu';
  if (/^[\w.-]{1,64}$/.test(name)) return `mcu ${name}`;
  throw reader.refuse(
    'mcu',
    `mcu cannot be ${quoted(name)}`,
    'Write it as in printer.cfg: mcu, or mcu NAME.',
  );
}

function readRoutes(reader: SectionReader, known: readonly string[]): readonly string[] | undefined {
  const routes = reader.list('routes');
  const strange = routes?.find((route) => !known.includes(route));
  if (strange !== undefined) {
    throw reader.refuse(
      'routes',
      `routes cannot have ${quoted(strange)}`,
      suggestion(strange, known, 'routes'),
    );
  }
  if (routes?.length === 0)
    throw reader.refuse('routes', 'routes has none', `Known: ${known.join(', ')}; or delete the line.`);
  return routes;
}

/** `[board octopus-pro-f446]` needs no `board:` of its own. */
function boardFromName(reader: SectionReader, name: string, knownBoards: readonly string[]): string {
  if (knownBoards.includes(name)) return name;
  const advice = `Add "board:" with what it is. ${suggestion(name, knownBoards, 'boards')}`;
  throw reader.refuse('board', 'does not say which board it is', advice);
}

function onlyPrinter(reader: SectionReader, printers: readonly string[]): string {
  const [only, ...others] = printers;
  if (only !== undefined && others.length === 0) return only;
  throw reader.refuse(
    'printer',
    'does not say which printer it belongs to',
    `Add "printer:" with one of: ${printers.join(', ')}.`,
  );
}

function finished<T>(reader: SectionReader, value: T): T {
  reader.finish(ELSEWHERE);
  return value;
}

/** The sections `[kind NAME]` of a file, in its order. */
export function readersOf(
  document: ConfigDocument,
  kind: string,
): readonly { readonly name: string; readonly reader: SectionReader }[] {
  return [...document.sections.keys()]
    .filter((section) => section.split(/\s+/)[0] === kind)
    .map((section) => ({
      name: section.slice(kind.length).trim(),
      reader: new SectionReader(document, section),
    }));
}

/** Refuses sections that are neither the main one nor `[kind NAME]`, and names that are unfit for a file's name. */
export function requireKnownSections(document: ConfigDocument, kinds: readonly string[]): void {
  const seen = new Map<string, number>();
  for (const { name: section, line } of document.sections.values()) {
    const [kind = '', name, ...rest] = section.split(/\s+/);
    const shown = quoted(section).slice(1, -1);
    if (section !== MAIN && !kinds.includes(kind)) {
      throw complaint(
        document.file,
        line,
        `there is no section [${shown}]`,
        suggestion(kind, [MAIN, ...kinds], 'sections'),
      );
    }
    if (section === MAIN) continue;
    if (name === undefined || rest.length > 0 || !/^[A-Za-z0-9_][\w.-]{0,63}$/.test(name)) {
      const advice = `Write [${kind} NAME], the name in letters, digits, "_", "." and "-", without spaces.`;
      throw complaint(document.file, line, `[${shown}] has no name that can be used`, advice);
    }
    // What is kept of a board lies in files of its name, and those are small letters: src/ports/store.ts.
    if (kind === 'board' && name !== name.toLowerCase()) {
      const advice = `Write [board ${name.toLowerCase()}], in both files.`;
      throw complaint(document.file, line, `[${shown}]: a board's name has small letters only`, advice);
    }
    const before = seen.get(`${kind} ${name.toLowerCase()}`);
    if (before !== undefined) {
      const message = `[${shown}] is there twice: lines ${before} and ${line}`;
      throw complaint(document.file, line, message, 'Names must differ by more than capitals and spaces.');
    }
    seen.set(`${kind} ${name.toLowerCase()}`, line);
  }
}
