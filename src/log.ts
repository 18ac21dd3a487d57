// The program's log: JSON lines on stderr, so that stdout stays the command line's own.
import { pino, stdTimeFunctions, symbols, type Level, type Logger } from 'pino';

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

/** Where each line of the daemon's log goes, too. */
export interface LogFile {
  /** @param line with its end */
  write(line: string): void;
}

/** Keys that no line shows: whoever reads a log is not always who may use Moonraker. */
const SECRETS = ['api_key', 'apiKey', 'token', 'access_token'];

/**
 * The daemon's log, on stderr; under systemd every line with its priority, so that `journalctl -p warning` works.
 * @param file gets the same lines
 */
export function createServiceLog(level: Level, env: NodeJS.ProcessEnv, file?: LogFile): Logger {
  const destination = pino.destination({ dest: 2, sync: true });
  const isJournal = env['JOURNAL_STREAM'] !== undefined;
  const both = {
    [symbols.needsMetadataGsym]: true as const,
    lastLevel: 30,
    write: (line: string) => {
      destination.write(isJournal ? `${PRIORITY[both.lastLevel] ?? '<6>'}${line}` : line);
      file?.write(line);
    },
  };
  const redact = { paths: SECRETS.flatMap((key) => [key, `*.${key}`]), censor: '(secret)' };
  return pino({ level, timestamp: stdTimeFunctions.isoTime, redact }, both);
}
