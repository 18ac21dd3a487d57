// Daemon, what systemd is told (sd_notify(3)), by systemd's own program: Node has no datagram sockets of that kind.
import { execFile } from 'node:child_process';
import type { Logger } from '../log.ts';

export interface ServiceManager {
  /** `READY=1`, `STOPPING=1`, `STATUS=...`, in the order of the calls; never throws. */
  tell(...states: readonly string[]): void;
  /** Resolves when all that was told has been heard. */
  flush(): Promise<void>;
}

/** Without systemd (no NOTIFY_SOCKET) nothing is told. */
export function serviceManager(env: NodeJS.ProcessEnv, log: Logger): ServiceManager {
  if ((env['NOTIFY_SOCKET'] ?? '') === '') return { tell: () => {}, flush: async () => {} };
  let last: Promise<void> = Promise.resolve();
  return {
    tell: (...states) => {
      last = last.then(() => notify(states, env, log));
    },
    flush: () => last,
  };
}

const TIMEOUT_MS = 5000;

function notify(states: readonly string[], env: NodeJS.ProcessEnv, log: Logger): Promise<void> {
  return new Promise((resolve) => {
    execFile('systemd-notify', [...states], { timeout: TIMEOUT_MS, env }, (error) => {
      if (error !== null) log.warn({ err: error }, 'systemd could not be told');
      resolve();
    });
  });
}
