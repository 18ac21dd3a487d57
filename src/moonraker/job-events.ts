// Moonraker, events: what a job tells, sent to every client that is connected. Numbered by the job, so that a client
// which missed some can ask for them.
import type { JobEvent } from '../jobs/job.ts';
import type { Clock } from '../ports/clock.ts';
import { PacedEvents } from './paced-events.ts';

/** What waits for a connection that is down; over this the oldest go, and clients ask with octopus.job_get. */
const KEPT_EVENTS = 200;
/** Its own name: `connected` and `disconnected` are Moonraker's (moonraker/components/extensions.py). */
export const JOB_EVENT = 'job';

/** Where events go: `link.notify`. */
export type Send = (method: string, params: object) => boolean;

export class JobEvents {
  readonly #send: Send;
  readonly #paced: PacedEvents;
  #kept: object[] = [];

  constructor(clock: Clock, send: Send) {
    this.#send = send;
    this.#paced = new PacedEvents(clock, (event) => this.#emit(event));
  }

  /** Events of a job in their order; its end comes last. */
  tell(event: JobEvent): void {
    this.#paced.tell(event);
  }

  /** The connection is back: what was told meanwhile, in order. */
  resend(): void {
    const kept = this.#kept;
    this.#kept = [];
    for (const data of kept) this.#emit(data);
  }

  #emit(data: object): void {
    if (this.#send('connection.send_event', { event: JOB_EVENT, data })) return;
    this.#kept.push(data);
    if (this.#kept.length > KEPT_EVENTS) this.#kept.shift();
  }
}
