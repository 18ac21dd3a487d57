// Methods: the one table. Moonraker's agent serves it, the command line makes its verbs from it.
// To add a method: a file beside this one with defineMethod, a line here, and one in src/cli/verbs.ts.
import { backup } from './backup.ts';
import { backups } from './backups.ts';
import { canbusQuery } from './canbus-query.ts';
import { dfuEnter } from './dfu-enter.ts';
import { doctor } from './doctor.ts';
import { flash } from './flash.ts';
import { inspect } from './inspect.ts';
import { jobCancel, jobGet, jobList } from './jobs.ts';
import { linesRelease } from './lines-release.ts';
import { repair } from './repair.ts';
import { reset } from './reset.ts';
import { restore } from './restore.ts';
import { status } from './status.ts';
import { unprotect } from './unprotect.ts';
import { wiringTest } from './wiring-test.ts';

export const METHODS = {
  flash,
  inspect,
  status,
  backup,
  backups,
  restore,
  repair,
  reset,
  dfuEnter,
  canbusQuery,
  doctor,
  jobGet,
  jobList,
  jobCancel,
  linesRelease,
  unprotect,
  wiringTest,
};

type AnyMethod = (typeof METHODS)[keyof typeof METHODS];
/** What a method answers: `AnswerOf<typeof METHODS.flash>`. */
export type AnswerOf<M extends AnyMethod> = Awaited<ReturnType<ReturnType<M['prepare']>['run']>>;
