// Daemon, its log: stderr, which is journald's under systemd, and a file beside Moonraker's logs, where Mainsail shows it.
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { createServiceLog, type Logger } from '../log.ts';
import type { Clock } from '../ports/clock.ts';
import { KeptLines } from './kept-lines.ts';

export interface ServiceLog {
  readonly log: Logger;
  /** After the last line. */
  readonly close: () => Promise<void>;
}

/** @param file is written where its folder exists: Moonraker's, made by nobody else */
export function openServiceLog(
  level: Parameters<typeof createServiceLog>[0],
  file: string,
  clock: Clock,
  env: NodeJS.ProcessEnv,
): ServiceLog {
  if (!existsSync(dirname(file))) return { log: createServiceLog(level, env), close: async () => {} };
  const kept = new KeptLines({
    file,
    size: '2M',
    keep: 3,
    clock,
    lostLine: (lost) => `${JSON.stringify({ time: new Date(clock.date()).toISOString(), lost })}\n`,
    // Every line is on stderr as well, and there is nobody else to tell.
    onTrouble: () => {},
  });
  return { log: createServiceLog(level, env, kept), close: () => kept.close() };
}
