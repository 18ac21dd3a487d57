// Daemon, after its end, by whichever way it ended: what systemd's ExecStopPost runs. A daemon that was killed could not
// let go of the lines, nor start the Klipper that it had stopped; and where nothing starts it again, nobody else would.
import { execFile } from 'node:child_process';
import { readConfiguration, dataPathOf, type Configuration } from '../compose/configuration.ts';
import { knownLines } from '../compose/known-lines.ts';
import { pathsFor, type Paths } from '../compose/paths.ts';
import { printerOf } from '../compose/printer-of.ts';
import type { Settings } from '../cli/world.ts';
import { asOctopusError } from '../errors.ts';
import { systemClock } from '../hardware/clock.ts';
import { lastJob, leftKlipperStopped, noteKlipperStarted } from '../jobs/journal.ts';
import { lockOf, type JobKit } from '../jobs/runner.ts';
import type { Logger } from '../log.ts';
import { later } from '../moonraker/later.ts';
import type { Printer } from '../ports/printer.ts';
import { openDaemonKit } from './kit.ts';
import { klipperUnitOf } from './klipper-unit.ts';
import { openServiceLog } from './service-log.ts';
import { floatAll } from './start-up.ts';

/** So long Moonraker is tried: a Klipper that stands still harms nothing, but systemd waits for us. */
const MOONRAKER_MS = 30_000;
const SYSTEMCTL_MS = 20_000;

/** What it could do stands in its log, and what it could not in its exit code: 0, or 1. */
export async function runAfterStop(settings: Settings, version: string): Promise<number> {
  const paths = pathsFor(settings);
  const { log, close } = openServiceLog('info', paths.log, systemClock, process.env);
  try {
    return await cleanUp(settings, paths, version, log);
  } finally {
    await close();
  }
}

async function cleanUp(settings: Settings, paths: Paths, version: string, log: Logger): Promise<number> {
  const configuration = await readConfiguration(paths).catch((): undefined => undefined);
  const opened = await openDaemonKit(settings, { boards: configuration?.boards, printers: [] }, log);
  try {
    const { kit } = opened;
    const boards = configuration === undefined ? await knownLines(kit.store) : opened.boards;
    await floatAll(kit, boards, log);
    let isWell = true;
    // Of every board that has one, whatever the configuration says by now.
    const journals = await kit.store.list('journal').catch((): readonly string[] => []);
    for (const name of journals.map((key) => key.replace(/^journal\/(.*)\.json$/, '$1'))) {
      const dead = await lastJob(kit, name).catch((): undefined => undefined);
      if (dead === undefined || !leftKlipperStopped(dead)) continue;
      log.warn({ board: name, method: dead.method }, 'a job has left Klipper stopped: it is started again');
      const own = opened.hasOwnPrinter ? kit.printer : undefined;
      isWell = (await underLock(kit, name, { configuration, paths, version, log, own })) && isWell;
    }
    return isWell ? 0 : 1;
  } finally {
    await opened.dispose();
  }
}

interface Means {
  readonly configuration: Configuration | undefined;
  readonly paths: Paths;
  readonly version: string;
  readonly log: Logger;
  /** A virtual board's own printer. */
  readonly own: Printer | undefined;
}

/** Never in the middle of a job of another process: that one needs Klipper stopped, and starts it at its end. */
async function underLock(kit: JobKit, board: string, means: Means): Promise<boolean> {
  const unlock = await kit.locks.acquire(lockOf(board)).catch((): undefined => undefined);
  if (unlock === undefined) return true;
  try {
    return await startKlipper(kit, board, means);
  } finally {
    await unlock();
  }
}

/** Through Moonraker, which knows the unit's name; where it does not answer, by systemctl (polkit: moonraker-admin). */
async function startKlipper(kit: JobKit, board: string, means: Means): Promise<boolean> {
  const { configuration, paths, log } = means;
  try {
    await throughMoonraker(board, means);
  } catch (thrown) {
    const printer = configuration?.settings.printers.find(
      ({ name }) => name === configuration.settings.boards.find((one) => one.name === board)?.printer,
    );
    const unit = klipperUnitOf(printer === undefined ? paths.printerData : dataPathOf(printer, paths));
    log.warn({ board, unit, reason: asOctopusError(thrown).message }, 'Moonraker does not start Klipper');
    if (unit === undefined || !(await systemctlStart(unit, log))) return false;
  }
  log.info({ board }, 'Klipper was started');
  await noteKlipperStarted(kit, board);
  return true;
}

async function throughMoonraker(board: string, { configuration, version, own }: Means): Promise<void> {
  if (own !== undefined) return own.startKlipper();
  if (configuration === undefined) throw new Error('octopus-flasher.conf is not sound');
  const { printer, close } = printerOf(configuration, board, version);
  const late = Promise.withResolvers<never>();
  const callOff = later(systemClock, MOONRAKER_MS, () => late.reject(new Error('Moonraker takes too long')));
  try {
    await Promise.race([printer.startKlipper(), late.promise]);
  } finally {
    callOff();
    await close();
  }
}

function systemctlStart(unit: string, log: Logger): Promise<boolean> {
  const args = ['--no-ask-password', '--no-block', 'start', unit];
  return new Promise((resolve) => {
    execFile('systemctl', args, { timeout: SYSTEMCTL_MS }, (error) => {
      if (error !== null) log.error({ unit, err: error }, `start it: sudo systemctl start ${unit}`);
      resolve(error === null);
    });
  });
}
