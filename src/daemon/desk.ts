// Daemon, the desk: every request comes here, whichever door it came through: may it, and then it is carried out.
import { OctopusError, asOctopusError, nearest } from '../errors.ts';
import { JobBook } from '../jobs/book.ts';
import { endOf, eventOf, type Job, type JobEvent } from '../jobs/job.ts';
import type { JobKit, RunningJob } from '../jobs/runner.ts';
import { onlyBoards, type BoardBook } from '../methods/boards.ts';
import type { ImageSource } from '../methods/image-source.ts';
import {
  contextOf,
  withoutJournal,
  type Call,
  type DaemonFacts,
  type House,
  type Method,
} from '../methods/method.ts';
import { startCall } from '../methods/start.ts';
import { METHODS } from '../methods/table.ts';
import type { Audit } from './audit.ts';
import { isRemote, type Origin } from './origin.ts';

export interface DeskParts {
  readonly boards: BoardBook;
  /** The kit for a board with its own printer, or for none with the printer that was asked through. */
  readonly kitFor: (board: string | undefined, origin: Origin) => JobKit;
  /** Whether a request may name that board; every one unless given. */
  readonly mayName?: (board: string, origin: Origin) => boolean;
  readonly images: (origin: Origin) => ImageSource;
  /** Asked at every request that changes a board. Throws `bad-config`. */
  readonly isArmed: () => Promise<boolean>;
  readonly facts: () => Promise<DaemonFacts>;
  readonly audit: Pick<Audit, 'request' | 'ended'>;
  /** Hears of a listener that failed. */
  readonly onFault?: (fault: unknown) => void;
}

/** Told of every job; its end comes last. */
export type JobListener = (event: JobEvent, origin: Origin) => void;

type Params = Readonly<Record<string, unknown>>;

const BY_NAME: ReadonlyMap<string, Method> = new Map<string, Method>(
  Object.values(METHODS).map((method) => [method.name, method]),
);

/** The names that are served to `origin`. */
export function servedTo(origin: Pick<Origin, 'via'>): readonly string[] {
  return [...BY_NAME.values()]
    .filter(({ isLocal }) => !isLocal || origin.via === 'local')
    .map(({ name }) => name);
}

export class Desk {
  readonly #parts: DeskParts;
  readonly jobs = new JobBook();
  readonly #listeners = new Set<JobListener>();
  /** Jobs on their way: loading, waiting for the lock, running, and until their end was told. */
  readonly #underWay = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(parts: DeskParts) {
    this.#parts = parts;
  }

  onJobEvent(listener: JobListener): void {
    this.#listeners.add(listener);
  }

  /**
   * The answer of the method, `{ job }` at once for one that is a job.
   * Throws `unknown-method`, `not-armed`, `busy`, and what the method throws.
   */
  async call(name: string, params: Params, origin: Origin): Promise<object> {
    const request = { origin, method: name, params };
    try {
      const answer = await this.#carryOut(name, params, origin);
      const isJob = BY_NAME.get(name)?.needs === 'job' && 'job' in answer;
      this.#parts.audit.request(
        request,
        isJob ? { kind: 'job', job: String(answer.job) } : { kind: 'answered' },
      );
      return answer;
    } catch (thrown) {
      const error = asOctopusError(thrown);
      this.#parts.audit.request(request, { kind: 'refused', error });
      throw error;
    }
  }

  /** No new jobs; the running ones are asked to stop, and have ended and been told of when this resolves. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const job of this.jobs.running()) job.cancel();
    // One that was still being started is cancelled by itself, and its end is to be awaited as well.
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  async #carryOut(name: string, params: Params, origin: Origin): Promise<object> {
    const { images, isArmed, facts, kitFor, mayName } = this.#parts;
    const boards =
      mayName === undefined
        ? this.#parts.boards
        : onlyBoards(this.#parts.boards, (board) => mayName(board, origin));
    const method = BY_NAME.get(name);
    if (method === undefined || (method.isLocal && isRemote(origin))) throw unknownMethod(name, origin);
    const call = method.prepare(params, boards);
    if (call.changesBoard && isRemote(origin) && !(await isArmed())) throw notArmed(name);
    const house: House = {
      boards,
      images: images(origin),
      jobs: this.jobs,
      isRemote: isRemote(origin),
      daemon: facts,
    };
    const kit = kitFor(call.board, origin);
    if (call.needs === 'job')
      return { job: await this.#during(this.#start(kit, house, method, call, origin)) };
    return call.run(contextOf(withoutJournal(kit), house), () => {}, new AbortController().signal);
  }

  async #start(
    kit: JobKit,
    house: House,
    method: Method,
    call: Call<object>,
    origin: Origin,
  ): Promise<string> {
    if (this.#isClosed) throw stopping();
    const job = await startCall(kit, house, method, call, (event, at) =>
      this.#tell(eventOf(at, event), origin),
    );
    this.jobs.add(job);
    // It may have been closed while the lock was taken.
    if (this.#isClosed) job.cancel();
    void this.#during(this.#tellEnd(job, origin));
    return job.id;
  }

  async #during<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    try {
      return await work;
    } finally {
      this.#underWay.delete(work);
    }
  }

  async #tellEnd(running: RunningJob<object>, origin: Origin): Promise<void> {
    await running.ended.catch(() => {});
    const job: Job = running.view();
    this.#parts.audit.ended(job, { outcome: job.state, ...(job.error && { code: job.error.code }) });
    this.#tell(endOf(job), origin);
  }

  /** Called from within the walk: a listener that throws must not end a write in the middle. */
  #tell(event: JobEvent, origin: Origin): void {
    for (const listener of this.#listeners) {
      try {
        listener(event, origin);
      } catch (fault) {
        this.#parts.onFault?.(fault);
      }
    }
  }
}

function unknownMethod(name: string, origin: Origin): OctopusError {
  const names = servedTo(origin);
  const short = name.slice(0, 100);
  const meant = nearest(short, names);
  return new OctopusError('unknown-method', `there is no method "${short}"`, {
    place: 'method',
    advice: `${meant === undefined ? '' : `Did you mean ${meant}? `}There are: ${names.join(', ')}.`,
  });
}

function notArmed(name: string): OctopusError {
  return new OctopusError('not-armed', `not armed: ${name} through Moonraker is switched off`, {
    place: 'host.conf',
    advice: 'Whoever owns this host allows it once, on the host: octopus arm.',
  });
}

function stopping(): OctopusError {
  return new OctopusError('busy', 'the daemon is stopping', {
    advice: 'Ask again when it runs again.',
  });
}
