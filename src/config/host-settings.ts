// Configuration: host.conf, the owner's own file. It alone opens guards, so first: can anybody else write it?
import { complaint, quoted } from './complaint.ts';
import { withValue } from './edit.ts';
import { isInside } from './folders.ts';
import { pathOf, readPath } from './locations.ts';
import { readPins, type PinKeys } from './pins.ts';
import { SectionReader } from './section-reader.ts';
import { readDocument } from './sections.ts';
import { readersOf, requireKnownSections } from './settings.ts';

/** What the caller has seen of the file, by `fstat` and `realpath` of the descriptor that it read. */
export interface HostFileFacts {
  /** Stands for `~`. */
  readonly home: string;
  /** The permission bits: 0o600. */
  readonly mode: number;
  /** Whether the file belongs to the user that the daemon runs as. */
  readonly isOwn: boolean;
  /** Where the file really is. */
  readonly real: string;
  /** The real folders that Moonraker's clients can write. */
  readonly roots: readonly string[];
}

/** A folder that the owner named, and the line that names it. */
export interface NamedFolder {
  readonly path: string;
  readonly line: number | undefined;
}

export interface HostBoard {
  readonly name: string;
  readonly pins: PinKeys;
  readonly powerDevice: string | undefined;
  /** Heater outputs that nothing hangs on: `HE2`, `HE3`. */
  readonly unusedHeaters: readonly string[];
  /** For errors that show only beside the other file. */
  readonly reader: SectionReader;
}

export interface HostSettings {
  /** Whether requests through Moonraker may change a board. */
  readonly isArmed: boolean;
  /** Whether `upload:NAME`, a file that came through Moonraker, may be flashed. */
  readonly allowsUploads: boolean;
  /** Images may be named by path below these; `requireAllowed` decides. */
  readonly firmwareFolders: readonly NamedFolder[];
  /** Source trees by name: klipper, katapult, kalico. */
  readonly sources: ReadonlyMap<string, NamedFolder>;
  /** Moonraker's power device of every board that has none of its own. */
  readonly powerDevice: string | undefined;
  readonly boards: ReadonlyMap<string, HostBoard>;
}

/** Without a file: nothing is armed, no folder is open. */
export const NO_HOST_SETTINGS: HostSettings = {
  isArmed: false,
  allowsUploads: false,
  firmwareFolders: [],
  sources: new Map(),
  powerDevice: undefined,
  boards: new Map(),
};

const MAIN = 'octopus-flasher';
const WRITABLE_BY_OTHERS = 0o022;

/** Throws `bad-config` when others than the owner can write the file, and for whatever in it is not understood. */
export function readHostSettings(text: string, file: string, facts: HostFileFacts): HostSettings {
  requirePrivate(file, facts);
  const document = readDocument(text, file);
  requireKnownSections(document, ['board', 'source']);
  const main = new SectionReader(document, MAIN);
  const settings = {
    isArmed: main.boolean('armed') ?? false,
    allowsUploads: main.boolean('allow_uploads') ?? false,
    firmwareFolders: readFolders(main, facts.home),
    powerDevice: main.text('power_device'),
  };
  main.finish({ boot0_pin: IN_BOARD, reset_pin: IN_BOARD });
  const sources = new Map<string, NamedFolder>();
  for (const { name, reader } of readersOf(document, 'source')) {
    const path = readPath(reader, 'path', facts.home);
    if (path === undefined) {
      throw reader.refuse('path', 'does not say where the tree is', `Add "path: ~/${name}".`);
    }
    sources.set(name, { path, line: reader.lineOf('path') });
    reader.finish();
  }
  const boards = new Map<string, HostBoard>();
  for (const { name, reader } of readersOf(document, 'board')) {
    boards.set(name, {
      name,
      pins: readPins(reader),
      powerDevice: reader.text('power_device'),
      unusedHeaters: readOutputs(reader, 'unused_heaters'),
      reader,
    });
    reader.finish();
  }
  return { ...settings, sources, boards };
}

const IN_BOARD = 'The lines of a board stand under [board NAME], with its name in octopus-flasher.conf.';

/**
 * The file's text with `armed` set; every other byte stays as it is. The caller writes it beside the file with mode
 * 0600 and renames it. Throws `bad-config` as reading it does.
 */
export function withArmed(text: string, file: string, facts: HostFileFacts, isArmed: boolean): string {
  readHostSettings(text, file, facts);
  return withValue(readDocument(text, file), MAIN, 'armed', isArmed ? 'yes' : 'no');
}

/** Throws `bad-config` when anybody but the owner could have written the file. */
function requirePrivate(file: string, { mode, isOwn, real, roots }: HostFileFacts): void {
  if (!isOwn) {
    const advice = `On the host: sudo chown $USER ${file}, after a look at what is in it.`;
    throw complaint(file, undefined, 'the file belongs to another user', advice);
  }
  if ((mode & WRITABLE_BY_OTHERS) !== 0) {
    const octal = (mode & 0o7777).toString(8).padStart(4, '0');
    const advice = `On the host: chmod 600 ${file}, after a look at what is in it.`;
    throw complaint(file, undefined, `others may write the file: its mode is ${octal}`, advice);
  }
  const root = roots.find((one) => isInside(real, one));
  if (root === undefined) return;
  throw complaint(
    file,
    undefined,
    `the file is in Moonraker's folder ${quoted(root)}, where its clients can write it`,
    'Move it to ~/printer_data/octopus-flasher/host.conf.',
  );
}

/** As they are printed on the board: HE0 to HE3, BED. A slip of the finger must not vouch for another output. */
function readOutputs(reader: SectionReader, key: string): readonly string[] {
  return (reader.list(key) ?? []).map((written) => {
    const name = written.toUpperCase();
    if (/^(HE\d|BED)$/.test(name)) return name;
    throw reader.refuse(
      key,
      `${key}: ${quoted(written)} is no heater output`,
      'Write HE0, HE1, HE2, HE3 or BED.',
    );
  });
}

function readFolders(reader: SectionReader, home: string): readonly NamedFolder[] {
  const key = 'firmware_folders';
  return (reader.list(key) ?? []).map((written) => {
    const path = pathOf(reader, key, written, home);
    if (path !== '/' && path !== home) return { path, line: reader.lineOf(key) };
    const advice = 'Name the folder that holds your firmware, such as ~/firmware.';
    throw reader.refuse(key, `${key}: ${quoted(written)} is far too much`, advice);
  });
}
