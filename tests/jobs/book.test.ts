// The book of jobs: what can still be asked for, by which name.
import { expect, test } from '@jest/globals';
import { OctopusError } from '../../src/errors.ts';
import { JobBook } from '../../src/jobs/book.ts';
import { advance, eventsAfter, newJob, type JobChange } from '../../src/jobs/job.ts';
import type { RunningJob } from '../../src/jobs/runner.ts';
import { failureOf } from '../support/bench.ts';

interface TestJob extends RunningJob<object> {
  readonly change: (change: JobChange) => void;
  readonly cancels: () => number;
}

function job(id: string): TestJob {
  let now = advance(newJob(id, 'octopus.test', 'one'), { kind: 'started' });
  let cancels = 0;
  return {
    id,
    view: () => now,
    eventsAfter: (n) => eventsAfter(now, n),
    cancel: () => {
      cancels++;
      now = advance(now, { kind: 'cancel-asked' });
    },
    ended: Promise.resolve({}),
    change: (change) => {
      now = advance(now, change);
    },
    cancels: () => cancels,
  };
}
const ended = (id: string) => {
  const one = job(id);
  one.change({ kind: 'ended', result: { of: id } });
  return one;
};
const idOf = (n: number) => `${String(n).padStart(6, '0')}-abcd`;

test('the last 20 that ended are kept, and every one that runs', () => {
  const book = new JobBook();
  const running = [job('running-first'), job('running-second')];
  for (const one of running) book.add(one);
  for (let n = 0; n < 50; n++) book.add(ended(idOf(n)));
  const ids = book.list().map(({ id }) => id);
  expect(ids).toEqual([
    'running-first',
    'running-second',
    ...Array.from({ length: 20 }, (_, index) => idOf(30 + index)),
  ]);
  expect(book.running()).toEqual(running);
  running[0]?.change({ kind: 'failed', error: new OctopusError('busy', 'm', { advice: 'a' }) });
  book.add(job('another'));
  // The oldest of the ended ones goes, whenever it ended.
  expect(book.list().map(({ id }) => id)).not.toContain('running-first');
  expect(book.running().map(({ id }) => id)).toEqual(['running-second', 'another']);
});

test('an id may be cut to six letters, while only one job begins so', async () => {
  const book = new JobBook();
  book.add(ended('abcdef-1'));
  book.add(ended('abcdef-2'));
  book.add(ended('123456-1'));
  book.add(ended('abcdef'));
  expect(book.get('123456').id).toBe('123456-1');
  expect(book.get('abcdef-2').id).toBe('abcdef-2');
  // Whole, though two others begin with it.
  expect(book.get('abcdef').id).toBe('abcdef');
  for (const id of ['12345', 'abcdef-', '123456-12', '', 'x'.repeat(5000)]) {
    const error = await failureOf((async () => book.get(id))());
    expect([id, error.code]).toEqual([id, 'unknown-job']);
    expect(error.advice).toContain('job_list');
    expect(error.message.length).toBeLessThan(200);
    expect(() => book.cancel(id)).toThrow(error.message);
  }
});

test('only the events after n, with the numbers they were told with', () => {
  const book = new JobBook();
  const one = job('abcdef-1');
  book.add(one);
  for (const text of ['a', 'b', 'c']) one.change({ kind: 'told', event: { kind: 'note', text } as never });
  expect(book.get('abcdef').events.map(({ n }) => n)).toEqual([1, 2, 3]);
  expect(book.get('abcdef', 2).events).toMatchObject([{ n: 3, text: 'c' }]);
  expect(book.get('abcdef', 3).events).toEqual([]);
  expect(book.get('abcdef', 99).events).toEqual([]);
});

test('a cancel is asked of a job that runs, and changes nothing at one that has ended', () => {
  const book = new JobBook();
  const [running, done] = [job('running-1'), ended('ended-1')];
  book.add(running);
  book.add(done);
  expect(book.cancel('running-1')).toMatchObject({ state: 'running', cancelAsked: true });
  expect(running.cancels()).toBe(1);
  expect(book.cancel('ended-1')).toMatchObject({
    state: 'done',
    cancelAsked: false,
    result: { of: 'ended-1' },
  });
});
