// Daemon, what systemd is told (sd_notify(3)): by a datagram of our own, and where that fails by systemd's own program.
// And the watchdog: a sign of life for as long as the event loop turns.
import { execFile } from 'node:child_process';
import { sendDatagram } from '../hardware/notify-socket.ts';
import type { Logger } from '../log.ts';
import type { Clock } from '../ports/clock.ts';

export interface ServiceManager {
  /** `READY=1`, `STOPPING=1`, `STATUS=...`, in the order of the calls; never throws. */
  tell(...states: readonly string[]): void;
  /** Resolves when all that was told has been heard. */
  flush(): Promise<void>;
  /** Gives signs of life until `signal`, where the unit has a watchdog; never throws. */
  live(signal: AbortSignal): Promise<void>;
}

/** Without systemd (no NOTIFY_SOCKET) nothing is told. */
export function serviceManager(env: NodeJS.ProcessEnv, log: Logger, clock: Clock): ServiceManager {
  const socket = env['NOTIFY_SOCKET'] ?? '';
  if (socket === '') return { tell: () => {}, flush: async () => {}, live: async () => {} };
  let last: Promise<void> = Promise.resolve();
  const tell = (...states: readonly string[]): void => {
    last = last.then(() => notify(socket, states, env, log));
  };
  return {
    tell,
    flush: () => last,
    live: async (signal) => {
      const everyMs = watchdogPeriodMs(env);
      if (everyMs === undefined) return;
      while (!signal.aborted) {
        tell('WATCHDOG=1');
        // A timer of the event loop itself: one that stands still gives no sign.
        await clock.sleep(everyMs, signal).catch(() => {});
      }
    },
  };
}

/** Half of what the unit allows (sd_watchdog_enabled(3)); undefined without a watchdog, or with one that is another's. */
function watchdogPeriodMs(env: NodeJS.ProcessEnv): number | undefined {
  const micros = Number(env['WATCHDOG_USEC'] ?? '');
  const pid = env['WATCHDOG_PID'];
  const isOurs = pid === undefined || Number(pid) === process.pid;
  return isOurs && Number.isSafeInteger(micros) && micros > 0 ? micros / 2000 : undefined;
}

const TIMEOUT_MS = 5000;

async function notify(
  socket: string,
  states: readonly string[],
  env: NodeJS.ProcessEnv,
  log: Logger,
): Promise<void> {
  try {
    await sendDatagram(socket, states.join('\n'));
  } catch {
    await notifyByProgram(states, env, log);
  }
}

function notifyByProgram(states: readonly string[], env: NodeJS.ProcessEnv, log: Logger): Promise<void> {
  return new Promise((resolve) => {
    execFile('systemd-notify', [...states], { timeout: TIMEOUT_MS, env }, (error) => {
      if (error !== null) log.warn({ err: error }, 'systemd could not be told');
      resolve();
    });
  });
}
