// The program's log: JSON lines on stderr, so that stdout stays the command line's own.
import { pino, type Logger } from 'pino';

export type { Logger } from 'pino';

/**
 * Written synchronously: the last line before a crash is the one that is needed.
 * @param verbose everything down to single control transfers; otherwise nothing at all
 */
export function createLog(verbose: boolean): Logger {
  return pino({ level: verbose ? 'trace' : 'silent' }, pino.destination({ dest: 2, sync: true }));
}
