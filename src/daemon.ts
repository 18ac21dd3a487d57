// The daemon: `octopus daemon`. First act: the lines float. Then the desk stands between its doors (Moonraker's agents,
// the own socket) and the boards. Last act: jobs end as the board allows, the lines float, Klipper runs.
import type { Settings } from './cli/world.ts';
import { readConfiguration } from './compose/configuration.ts';
import { knownLines, rememberLines } from './compose/known-lines.ts';
import { pathsFor } from './compose/paths.ts';
import { Audit } from './daemon/audit.ts';
import { LocalSocket } from './daemon/local-socket.ts';
import { openOffice, type OfficeParts } from './daemon/office.ts';
import { openDaemonKit } from './daemon/kit.ts';
import { floatAll, repairAfterCrash } from './daemon/start-up.ts';
import { stopSignal } from './daemon/stop-signal.ts';
import { openServiceLog } from './daemon/service-log.ts';
import { serviceManager } from './daemon/systemd.ts';
import { systemClock } from './hardware/clock.ts';
import { SocketLocks } from './hardware/locks.ts';
import { asOctopusError } from './errors.ts';

/** Runs until SIGTERM or SIGINT; answers 0. Throws `bad-config`, `busy` when one runs already, `store-failed`. */
export async function runDaemon(settings: Settings, version: string): Promise<number> {
  const paths = pathsFor(settings);
  const stop = stopSignal();
  const unlock = await new SocketLocks().acquire(`daemon:${paths.socket}`);
  try {
    const configuration = await readConfiguration(paths).catch(async (error: unknown) => {
      await floatKnownLines(settings, error);
      throw error;
    });
    const level = settings.verbose ? 'trace' : configuration.settings.logLevel;
    const { log, close } = openServiceLog(level, paths.log, systemClock, process.env);
    try {
      const opened = await openDaemonKit(
        settings,
        { boards: configuration.boards, printers: configuration.settings.printers },
        log,
      );
      try {
        await serve({ ...opened, configuration, paths, version, log }, stop);
      } finally {
        await opened.dispose();
      }
      log.info('stopped');
      return 0;
    } finally {
      await close();
    }
  } finally {
    await unlock();
  }
}

/** The first act even where the configuration is spoilt: nothing else can be done then but to say so. */
async function floatKnownLines(settings: Settings, spoilt: unknown): Promise<void> {
  const { log, close } = openServiceLog('info', pathsFor(settings).log, systemClock, process.env);
  const { message, place, advice } = asOctopusError(spoilt);
  log.fatal({ place, advice }, message);
  const opened = await openDaemonKit(settings, { boards: undefined, printers: [] }, log);
  try {
    await floatAll(opened.kit, await knownLines(opened.kit.store), log);
  } finally {
    await opened.dispose();
    await close();
  }
}

type Parts = Omit<OfficeParts, 'audit' | 'onLink'>;

async function serve(parts: Parts, stop: Promise<string>): Promise<void> {
  const { kit, boards, paths, version, log } = parts;
  await floatAll(kit, boards, log);
  await rememberLines(kit.store, boards);

  const manager = serviceManager(process.env, log, systemClock);
  const audit = new Audit(paths.audit, kit.clock, log);
  const office = openOffice({
    ...parts,
    audit,
    onLink: (status) => manager.tell(`STATUS=${status}`),
  });
  const { desk, agents } = office;
  const local = await LocalSocket.open(paths.socket, desk, kit.clock);
  desk.onJobEvent((event) => local.tell(event));
  const over = new AbortController();
  // Before the agents connect: on a Unix socket that is done while the journals are still being read.
  await repairAfterCrash(boards, office, log);
  const running = agents.map((agent) => agent.run(over.signal));
  log.info({ version, socket: paths.socket, boards: boards.configured }, 'octopus-flasher runs');
  manager.tell('READY=1');
  const isAlive = new AbortController();
  const living = manager.live(isAlive.signal);

  log.info({ signal: await stop }, 'stopping: a write that has begun runs to its end');
  manager.tell('STOPPING=1', 'STATUS=Waiting for running jobs to end');
  await desk.close();
  await floatAll(kit, boards, log);
  await local.close();
  // The agents go last: through them Klipper was started again, and its clients were told the end.
  over.abort();
  await Promise.all(running);
  await audit.close();
  isAlive.abort();
  await living;
  await manager.flush();
}
