// Composition, the world of the command line: virtual or real kit, the boards of the configuration, the daemon.
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, string, type } from 'superstruct';
import type { Settings, Surroundings, World } from '../cli/world.ts';
import { DEFAULT_PINS } from '../config/pins.ts';
import { attachToDaemon } from '../daemon/local-client.ts';
import { OctopusError } from '../errors.ts';
import { FileStore } from '../hardware/store.ts';
import { JobBook } from '../jobs/book.ts';
import type { JobKit } from '../jobs/runner.ts';
import { createLog, type Logger } from '../log.ts';
import { modelBoards, type BoardBook } from '../methods/boards.ts';
import type { Needs } from '../methods/method.ts';
import { ownImages } from '../methods/image-source.ts';
import { BOARD_STATES, loadVirtualBoard, virtualBoardNames } from '../virtual/board-data.ts';
import { hostFileToDisarm, readConfiguration } from './configuration.ts';
import { unreachablePrinter } from './absent-printer.ts';
import { knownLines } from './known-lines.ts';
import { pathsFor } from './paths.ts';
import { virtualBoards } from './virtual-boards.ts';

export function createWorld(): World {
  const { version } = create(
    JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')),
    type({ version: string() }),
  );
  return {
    version,
    log: createLogOnce(),
    virtualStates: BOARD_STATES,
    virtualBoards: () =>
      virtualBoardNames().map((name) => {
        const { title, mcu } = loadVirtualBoard(name);
        return { name, title, mcu };
      }),
    boards: boardsOf,
    open: async (settings, needs, isRescue = false) => {
      if (settings.virtual !== undefined && (needs === 'job' || needs === 'board'))
        return openVirtual(settings, settings.virtual);
      return isRescue ? openLines(settings) : openHardware(settings, needs, version);
    },
    openDemo,
    attach: (settings) => attachToDaemon(pathsFor(settings).socket),
    daemon: async (settings) => {
      // Only the daemon needs what talks to Moonraker; a command should not wait for it.
      const { runDaemon } = await import('../daemon.ts');
      return runDaemon(settings, version);
    },
    afterStop: async (settings) => {
      const { runAfterStop } = await import('../daemon/after-stop.ts');
      return runAfterStop(settings, version);
    },
    warmUp: async () => {
      const [, , , { preloadHardware }] = await Promise.all([
        import('../daemon.ts'),
        import('../daemon/after-stop.ts'),
        import('./virtual-kit.ts'),
        import('./hardware-kit.ts'),
      ]);
      await preloadHardware();
    },
    serveVirtual: async (settings, asked) => {
      const { serveVirtual } = await import('./virtual-serve.ts');
      await serveVirtual(settings, asked);
    },
    supportBundle: async (settings, answers, file) => {
      const { writeSupportBundle } = await import('./support-bundle.ts');
      return writeSupportBundle(settings, version, answers, file);
    },
    arm: async (settings, isArmed) => {
      const paths = pathsFor(settings);
      const hostFile = isArmed ? (await readConfiguration(paths)).hostFile : await hostFileToDisarm(paths);
      await hostFile.setArmed(isArmed);
      return hostFile.path;
    },
  };
}

/** Of a virtual board that the command names, or else those of the configuration, or else all that are known. */
async function boardsOf(settings: Settings, isRescue = false): Promise<BoardBook> {
  if (settings.virtual !== undefined) return virtualBoards(settings.virtual);
  const paths = pathsFor(settings);
  const { boards } = await readConfiguration(paths).catch(async (error: unknown) => {
    if (!isRescue) throw error;
    return { boards: await knownLines(new FileStore(paths.data)) };
  });
  return boards ?? modelBoards(DEFAULT_PINS, { heaters: { kind: 'unknown' } });
}

/** What a command does not use costs it nothing: adapters load what they need at their first call. */
async function openHardware(settings: Settings, needs: Needs, version: string): Promise<Surroundings> {
  const paths = pathsFor(settings);
  const configuration = await readConfiguration(paths);
  const boards = configuration.boards ?? modelBoards(DEFAULT_PINS, { heaters: { kind: 'unknown' } });
  const [{ hardwareKit, preloadHardware }, { printerOf }] = await Promise.all([
    import('./hardware-kit.ts'),
    import('./printer-of.ts'),
  ]);
  // A job has no time to load anything while it holds reset low.
  if (needs === 'job') await preloadHardware();
  const { printer, close } = printerOf(configuration, settings.board ?? boards.onlyBoard, version);
  return surroundings(hardwareKit(paths, printer), boards, close);
}

/** For what only lets lines go: no configuration is read, and no printer is asked. */
async function openLines(settings: Settings): Promise<Surroundings> {
  const [{ hardwareKit }, boards] = await Promise.all([
    import('./hardware-kit.ts'),
    boardsOf(settings, true),
  ]);
  const nobody = unreachablePrinter(
    () =>
      new OctopusError('internal', 'a printer is asked while lines are let go', { advice: 'Report this.' }),
  );
  return surroundings(hardwareKit(pathsFor(settings), nobody), boards);
}

async function openVirtual(settings: Settings, board: string): Promise<Surroundings> {
  // Loaded where one is wanted: a daemon on hardware needs the memory for itself.
  const { openVirtualKit } = await import('./virtual-kit.ts');
  const { kit, dispose } = await openVirtualKit(settings, board);
  return surroundings(kit, virtualBoards(board), dispose);
}

function surroundings(
  kit: JobKit,
  boards: BoardBook,
  dispose: () => Promise<void> = async () => {},
): Surroundings {
  const { home } = pathsFor({
    data: undefined,
    printerData: undefined,
    virtual: undefined,
    virtualDir: undefined,
  });
  const house = { boards, images: ownImages(home), jobs: new JobBook(), isRemote: false, daemon: undefined };
  return { kit, house, dispose };
}

async function openDemo(
  settings: Settings,
  board: string,
): Promise<Surroundings & { readonly image: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'octopus-demo-'));
  const image = join(folder, 'klipper.bin');
  const own = { ...settings, virtual: board, virtualDir: join(folder, 'board'), data: undefined };
  const around = await openVirtual(own, board);
  const { forgeKlipper } = await import('../virtual/forge.ts');
  writeFileSync(image, forgeKlipper({ mcu: loadVirtualBoard(board).mcu }));
  return {
    ...around,
    image,
    dispose: async () => {
      await around.dispose();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function createLogOnce(): (verbose: boolean) => Logger {
  const logs = new Map<boolean, Logger>();
  return (verbose) => {
    const known = logs.get(verbose) ?? createLog(verbose);
    logs.set(verbose, known);
    return known;
  };
}
