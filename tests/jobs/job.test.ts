// A job's states and events, pure.
import { expect, test } from '@jest/globals';
import { OctopusError } from '../../src/errors.ts';
import { advance, eventsAfter, newJob, type Job, type JobChange } from '../../src/jobs/job.ts';

const START = newJob('id', 'octopus.flash', 'b');
const after = (...changes: JobChange[]): Job => changes.reduce(advance, START);
const told = (doneBytes: number): JobChange => ({
  kind: 'told',
  event: { kind: 'progress', phase: 'write', doneBytes, totalBytes: 10 },
});
const failed = (code: 'cancelled' | 'no-boot'): JobChange => ({
  kind: 'failed',
  error: new OctopusError(code, 'm', { advice: 'a' }),
});

test('from queued to each of its ends', () => {
  expect(START.state).toBe('queued');
  expect(after({ kind: 'started' }).state).toBe('running');
  expect(after({ kind: 'started' }, { kind: 'ended', result: { a: 1 } })).toMatchObject({
    state: 'done',
    result: { a: 1 },
  });
  expect(after({ kind: 'started' }, failed('no-boot'))).toMatchObject({
    state: 'failed',
    error: { code: 'no-boot' },
  });
  expect(after({ kind: 'started' }, { kind: 'cancel-asked' }, failed('cancelled')).state).toBe('cancelled');
});

test('asked too late to cancel, it is done all the same', () => {
  const job = after({ kind: 'started' }, { kind: 'cancel-asked' }, { kind: 'ended', result: {} });
  expect(job).toMatchObject({ state: 'done', cancelAsked: true });
});

test('an ending is final', () => {
  const done = after({ kind: 'started' }, { kind: 'ended', result: {} });
  for (const change of [told(1), failed('no-boot'), { kind: 'cancel-asked' }] satisfies JobChange[]) {
    expect(advance(done, change)).toBe(done);
  }
});

test('of one phase only the last progress is kept; numbers go on', () => {
  const job = after(
    { kind: 'told', event: { kind: 'phase', phase: 'write' } },
    told(1),
    told(2),
    told(3),
    { kind: 'told', event: { kind: 'note', text: 'x' } },
    told(4),
  );
  expect(job.events.map(({ n, kind }) => `${n} ${kind}`)).toEqual([
    '1 phase',
    '4 progress',
    '5 note',
    '6 progress',
  ]);
  expect(eventsAfter(job, 4).map(({ n }) => n)).toEqual([5, 6]);
  expect(eventsAfter(job, 6)).toEqual([]);
});
