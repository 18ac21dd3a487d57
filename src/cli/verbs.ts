// Command line: its verbs: each method of the table with its answer in words.
import type { Method } from '../methods/method.ts';
import { METHODS } from '../methods/table.ts';
import { backupsSummary, backupSummary } from './backup-summaries.ts';
import { canbusSummary } from './canbus-summary.ts';
import { inspectSummary, unprotectSummary } from './chip-summary.ts';
import { repairSummary } from './repair-summary.ts';
import {
  dfuSummary,
  doctorSummary,
  flashSummary,
  jobCancelSummary,
  jobListSummary,
  jobSummary,
  linesSummary,
  resetSummary,
  statusSummary,
} from './summaries.ts';

export interface Told {
  readonly answer: object;
  readonly summary: readonly string[];
}

export interface Verb {
  /** `octopus.dfu_enter` is `dfu-enter`. */
  readonly name: string;
  readonly method: Method;
  /** Lets `run` carry the method out, and puts its answer into words. */
  readonly tell: (run: <A extends object>(method: Method<A>) => Promise<A>) => Promise<Told>;
  /** The words for an answer that came from elsewhere. */
  readonly summarize: (answer: object) => readonly string[];
}

export const VERBS: readonly Verb[] = [
  verb(METHODS.flash, flashSummary),
  verb(METHODS.inspect, inspectSummary),
  verb(METHODS.status, statusSummary),
  verb(METHODS.backup, backupSummary),
  verb(METHODS.backups, backupsSummary),
  verb(METHODS.restore, flashSummary),
  verb(METHODS.repair, repairSummary),
  verb(METHODS.reset, resetSummary),
  verb(METHODS.dfuEnter, dfuSummary),
  verb(METHODS.canbusQuery, canbusSummary),
  verb(METHODS.doctor, doctorSummary),
  verb(METHODS.jobGet, jobSummary),
  verb(METHODS.jobList, jobListSummary),
  verb(METHODS.jobCancel, jobCancelSummary),
  verb(METHODS.linesRelease, linesSummary),
  verb(METHODS.unprotect, unprotectSummary),
];

function verb<A extends object>(method: Method<A>, summarize: (answer: A) => readonly string[]): Verb {
  return {
    name: method.name.replace(/^octopus\./, '').replaceAll('_', '-'),
    method,
    tell: async (run) => {
      const answer = await run(method);
      return { answer, summary: summarize(answer) };
    },
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the answer of this very method
    summarize: (answer) => summarize(answer as A),
  };
}
