// A job as a client of Moonraker follows it: the numbered events of the agent, and its end.
import { expect } from '@jest/globals';
import type { DaemonSite, Mark } from './daemon-site.ts';
import { PlainClient, eventually } from './real-moonraker.ts';

type Message = Record<string, any>; // oxlint-disable-line typescript/no-explicit-any

/** Asks for a job and answers its id. */
export async function begin(client: PlainClient, method: string, params: object): Promise<string> {
  const answer = await client.agent(method, params);
  if (typeof answer['result']?.job !== 'string') throw new Error(`no job: ${JSON.stringify(answer)}`);
  return answer['result'].job;
}

export const eventsOf = (client: PlainClient, job: string): Message[] =>
  client.events('job').filter((event) => event['job'] === job);

/** The job's event that `is` true of, as soon as `client` heard it. */
export function heard(
  client: PlainClient,
  job: string,
  what: string,
  is: (event: Message) => boolean,
): Promise<Message> {
  return eventually(`${what} of the job`, () => eventsOf(client, job).find(is));
}

/** The board is in DFU mode, for other tools. */
export const isStay = ({ text }: { text?: string }) => text?.startsWith('In DFU mode') === true;

export const inPhase = (client: PlainClient, job: string, phase: string): Promise<Message> =>
  heard(client, job, `phase ${phase}`, (event) => event['kind'] === 'phase' && event['phase'] === phase);

export const ended = (client: PlainClient, job: string): Promise<Message> =>
  heard(client, job, 'the end', ({ kind }) => kind === 'ended');

/** The job as the agent remembers it, when it has ended. */
export async function endedJob(client: PlainClient, job: string): Promise<Message> {
  return eventually('the job has ended', async () => {
    const { result } = await client.agent('octopus.job_get', { job });
    return ['done', 'failed', 'cancelled'].includes(result?.state) ? (result as Message) : undefined;
  });
}

/** What the client heard is the whole job: in order from 1 to the end; what is missing was superseded progress. */
export function expectWhole(seen: readonly Message[], job: Message): void {
  const numbers = seen.map(({ n }) => n as number);
  expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
  const told = job['events'].filter(({ kind }: Message) => kind !== 'progress');
  const plain = seen
    .filter(({ kind }) => kind !== 'progress' && kind !== 'ended')
    .map(({ job: _job, method: _method, board: _board, ...event }) => event);
  expect(plain).toEqual(told);
  const { n: last } = job['events'].at(-1);
  expect(seen.at(-1)).toMatchObject({ kind: 'ended', state: job['state'], n: last + 1 });
  // Of each phase the last progress: nobody is left with a bar that is not full.
  for (const event of job['events'].filter(({ kind }: Message) => kind === 'progress')) {
    const { phase, doneBytes } = event;
    expect(seen.findLast((one) => one['kind'] === 'progress' && one['phase'] === phase)).toMatchObject({
      doneBytes,
      n: event.n,
    });
  }
}

/** Klipper's process had ended before any line moved, and was started once, when the last line floated. */
export function expectKlipperAway(site: DaemonSite, mark: Mark): void {
  const { lines, klippy } = site.since(mark);
  const course = klippy.filter(({ what }) => what === 'ended' || what === 'started');
  expect(course.map(({ what }) => what)).toEqual(['ended', 'started']);
  const [end, start] = course.map(({ time }) => time);
  expect(lines.some(({ isDriven }) => isDriven)).toBe(true);
  expect(lines[0]?.time).toBeGreaterThan(end ?? Infinity);
  expect(lines.at(-1)?.isDriven).toBe(false);
  expect(lines.at(-1)?.time).toBeLessThan(start ?? 0);
}

/** Neither a line nor Klipper. */
export function expectUntouched(site: DaemonSite, mark: Mark): void {
  const { lines, klippy } = site.since(mark);
  expect(lines).toEqual([]);
  expect(klippy.filter(({ what }) => what === 'ended' || what === 'started')).toEqual([]);
}

/** What the console was told since `mark`, after Klipper had come back. */
export function consoleHeard(site: DaemonSite, mark: Mark): Promise<string> {
  return eventually('the console is told', () => {
    const { klippy } = site.since(mark);
    const at = klippy.findIndex(({ what }) => what === 'script');
    if (at < 0) return undefined;
    const last = klippy.slice(0, at).findLast(({ what }) => what !== 'remote-method')?.what;
    expect([undefined, 'state']).toContain(last);
    return klippy[at]?.script;
  });
}
