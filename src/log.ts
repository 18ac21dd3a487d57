// The program's log: JSON lines on stderr, so that stdout stays the command line's own.
import { pino, symbols, type Level, type Logger } from 'pino';

export type { Logger } from 'pino';

/**
 * Written synchronously: the last line before a crash is the one that is needed.
 * @param verbose everything down to single control transfers; otherwise nothing at all
 */
export function createLog(verbose: boolean): Logger {
  return pino({ level: verbose ? 'trace' : 'silent' }, pino.destination({ dest: 2, sync: true }));
}

/** sd-daemon(3): the priority that journald gives a line which begins with it. */
const PRIORITY: Readonly<Record<number, string>> = {
  10: '<7>',
  20: '<7>',
  30: '<6>',
  40: '<4>',
  50: '<3>',
  60: '<2>',
};

/** The daemon's log, on stderr; under systemd every line with its priority, so that `journalctl -p warning` works. */
export function createServiceLog(level: Level, env: NodeJS.ProcessEnv): Logger {
  const destination = pino.destination({ dest: 2, sync: true });
  if (env['JOURNAL_STREAM'] === undefined) return pino({ level }, destination);
  const journal = {
    [symbols.needsMetadataGsym]: true as const,
    lastLevel: 30,
    write: (line: string) => destination.write(`${PRIORITY[journal.lastLevel] ?? '<6>'}${line}`),
  };
  return pino({ level }, journal);
}
