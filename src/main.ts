// Composition root: hardware or virtual kit, then the command line. The only file that knows every adapter.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { create, enums, string, type, type Infer } from 'superstruct';
import { runCommandLine } from './cli/program.ts';
import type { Settings, Surroundings, World } from './cli/world.ts';
import { OctopusError, asOctopusError } from './errors.ts';
import { SocketLocks } from './hardware/locks.ts';
import { FileStore } from './hardware/store.ts';
import type { JobKit } from './jobs/runner.ts';
import { createLog, type Logger } from './log.ts';
import type { Locks } from './ports/locks.ts';
import type { Store } from './ports/store.ts';
import { createBench } from './virtual/bench.ts';
import { loadVirtualBoard, virtualBoardNames } from './virtual/board-data.ts';
import type { BenchClock } from './virtual/clock.ts';
import { forgeKlipper } from './virtual/forge.ts';
import { BOARD_STATES, type BoardState } from './virtual/state.ts';

/** Header pins 37 and 35 of a Raspberry Pi; the configuration (part 2) can name others. */
const PINS = { boot0: 'gpio26', nrst: 'gpio19' };

const home = homedir();
const stateHome = process.env.XDG_STATE_HOME ?? join(home, '.local', 'state');

/** What lives for as long as the process, whichever board it works on. */
const log = createLogOnce();
const { version } = create(
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')),
  type({ version: string() }),
);

const world: World = {
  version,
  log,
  virtualStates: BOARD_STATES,
  virtualBoards: () =>
    virtualBoardNames().map((name) => {
      const { title, mcu } = loadVirtualBoard(name);
      return { name, title, mcu };
    }),
  open: async (settings, needs) => {
    if (needs === 'store' || needs === 'nothing') {
      return surroundings(without(new FileStore(dataFolder(settings)), new SocketLocks()));
    }
    if (settings.virtual === undefined) throw noHardware('the board');
    return openVirtual(settings, settings.virtual);
  },
  openDemo: async (settings, board) => {
    const folder = await mkdtemp(join(tmpdir(), 'octopus-demo-'));
    const image = join(folder, 'klipper.bin');
    const around = await openVirtual(
      { ...settings, virtual: board, virtualDir: join(folder, 'board'), data: undefined },
      board,
    );
    writeFileSync(image, forgeKlipper({ mcu: loadVirtualBoard(board).mcu }));
    return {
      ...around,
      image,
      dispose: async () => {
        await around.dispose();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
};

/** Where backups and journals lie: of the virtual boards apart from those of real ones. */
function dataFolder({ data, virtual, virtualDir }: Settings): string {
  if (data !== undefined) return resolve(data);
  if (virtual === undefined) return join(home, 'printer_data', 'octopus-flasher');
  return virtualDir === undefined ? join(stateHome, 'octopus-flasher', 'virtual') : join(virtualDir, 'data');
}

async function openVirtual(settings: Settings, board: string): Promise<Surroundings> {
  const { virtualDir } = settings;
  const folder = dataFolder(settings);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const locks = new SocketLocks(`virtual:${shortHash(realpathSync(folder))}:`);
  // A kept board is a folder of files: two processes at once would each believe that it is theirs.
  const release = virtualDir === undefined ? async () => {} : await locks.acquire('bench');
  try {
    const asked = BOARD_STATES.find((known) => known === settings.state);
    const state = virtualDir === undefined ? (asked ?? 'used') : keptState(virtualDir, board, asked);
    const bench = await createBench({
      board,
      state,
      clock: settings.fast ? 'virtual' : 'real',
      times: settings.worst ? 'worst' : 'typical',
      ...(virtualDir === undefined ? {} : { keepDir: resolve(virtualDir) }),
    });
    killAt(process.env.OCTOPUS_VIRTUAL_KILL_AT, (listener) => bench.lines.onLineChange(listener));
    const { clock, gpio, printer, serial, usb } = bench;
    const disk = holding(new FileStore(folder), clock);
    // A board that is fresh at every command must not be taken for the one of the last command.
    const store = virtualDir === undefined ? backupsOnDisk(bench.store, disk) : disk;
    const heldLocks: Locks = { acquire: (name) => clock.hold(locks.acquire(name)) };
    return surroundings({ clock, gpio, printer, serial, usb, store, locks: heldLocks }, async () => {
      bench.dispose();
      await release();
    });
  } catch (error) {
    await release();
    throw error;
  }
}

function surroundings(kit: JobKit, dispose: () => Promise<void> = async () => {}): Surroundings {
  return { kit, pins: PINS, dispose };
}

const KeptLabel = type({ board: string(), state: enums(BOARD_STATES) });

/** A kept board stays the board it is, and what it holds is in its flash; asking for another is a mistake. */
function keptState(folder: string, board: string, state: BoardState | undefined): BoardState {
  const label = join(folder, 'board.json');
  mkdirSync(folder, { recursive: true });
  if (existsSync(label)) {
    const kept = create(JSON.parse(readFileSync(label, 'utf8')), KeptLabel);
    if (kept.board === board && (state === undefined || state === kept.state)) return kept.state;
    throw new OctopusError(
      'bad-parameter',
      `${folder} holds an ${kept.board} that began as "${kept.state}"`,
      {
        place: '--virtual-dir',
        advice: 'Choose another folder for another board, or remove this one.',
      },
    );
  }
  const begun: Infer<typeof KeptLabel> = { board, state: state ?? 'used' };
  writeFileSync(label, `${JSON.stringify(begun)}\n`);
  return begun.state;
}

/** Virtual time stands still while the disk works, so that its speed does not show on the board. */
function holding(store: Store, clock: BenchClock): Store {
  return {
    read: (key) => clock.hold(store.read(key)),
    write: (key, bytes) => clock.hold(store.write(key, bytes)),
    list: (prefix) => clock.hold(store.list(prefix)),
    remove: (key) => clock.hold(store.remove(key)),
  };
}

function backupsOnDisk(memory: Store, disk: Store): Store {
  const pick = (key: string) => (/^backups(\/|$)/.test(key) ? disk : memory);
  return {
    read: (key) => pick(key).read(key),
    write: (key, bytes) => pick(key).write(key, bytes),
    list: (prefix) => pick(prefix).list(prefix),
    remove: (key) => pick(key).remove(key),
  };
}

/** For the tests: dies as hard as a process can, at the n-th change of a line. */
function killAt(
  n: string | undefined,
  onLineChange: (listener: (change: { n: number }) => void) => void,
): void {
  if (n === undefined) return;
  onLineChange((change) => {
    if (change.n === Number(n)) process.kill(process.pid, 'SIGKILL');
  });
}

/** A kit for what touches no board. */
function without(store: Store, locks: Locks): JobKit {
  return {
    store,
    locks,
    clock: { now: () => performance.now(), date: () => Date.now(), sleep: missing('the clock') },
    gpio: { open: missing('GPIO') },
    serial: { open: missing('the serial ports') },
    usb: { list: missing('USB'), onChange: () => () => {}, openDfu: missing('USB') },
    printer: {
      read: missing('the printer'),
      stopKlipper: missing('the printer'),
      startKlipper: missing('the printer'),
      onForeignStart: () => () => {},
      setPower: missing('the printer'),
      canNodes: missing('the printer'),
      verdict: missing('the printer'),
    },
  };
}

function missing(what: string): () => Promise<never> {
  return async () => {
    throw noHardware(what);
  };
}

function noHardware(what: string): OctopusError {
  return new OctopusError(
    'no-hardware',
    `this version cannot reach ${what}: it has no hardware adapters yet`,
    {
      advice: `Use --virtual BOARD, one of: ${virtualBoardNames().join(', ')}.`,
    },
  );
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function createLogOnce(): (verbose: boolean) => Logger {
  const logs = new Map<boolean, Logger>();
  return (verbose) => {
    const known = logs.get(verbose) ?? createLog(verbose);
    logs.set(verbose, known);
    return known;
  };
}

async function main(): Promise<void> {
  // A reader that went away (`| head`) must not end a flash in the middle.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  // Nor must a fault beside the job: it is told, and the job lets go of the board by itself.
  process.on('unhandledRejection', (reason) => {
    process.exitCode = 1;
    process.stderr.write(`octopus: ${asOctopusError(reason).message}\n`);
  });
  const streams = { out: process.stdout, err: process.stderr, env: process.env };
  const code = await runCommandLine(process.argv.slice(2), world, streams);
  process.exitCode = Math.max(code, Number(process.exitCode ?? 0));
}

await main();
