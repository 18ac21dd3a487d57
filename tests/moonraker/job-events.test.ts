// Events of a job: numbered, progress at most every 250 ms, the last word never lost, across a lost connection too.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { advance, endOf, eventOf, newJob, type Job, type NumberedEvent } from '../../src/jobs/job.ts';
import { OctopusError } from '../../src/errors.ts';
import { PROGRESS_MS } from '../../src/moonraker/paced-events.ts';
import { startWorld, type World } from './world.ts';

let world: World;
let job: Job;
let tell: (event: object) => void;
let told: number;
beforeEach(async () => {
  world = startWorld();
  job = advance(newJob('j1', 'octopus.flash', 'octopus-v1.1-f446'), { kind: 'started' });
  told = 0;
  tell = (event) => world.agent.events.tell(eventOf(job, { ...event, n: ++told } as NumberedEvent));
  await world.until(() => world.agent.link.isUp);
});
afterEach(() => world.stop());

/** As the runner does: behind everything that was told. */
const end = (ended: Job) => world.agent.events.tell({ ...endOf(ended), n: told + 1 });

const progress = (doneBytes: number) =>
  tell({ kind: 'progress', phase: 'write', doneBytes, totalBytes: 1000 });
const seen = () => world.moonraker.events.map(({ data }) => data);
const numbers = () => seen().map(({ n }) => n);

test('an event is sent at once, with its job and its number, as notification without id', async () => {
  const since = world.clock.now();
  tell({ kind: 'phase', phase: 'write' });
  await world.clock.sleep(1);
  expect(world.moonraker.events).toEqual([
    {
      event: 'job',
      at: since,
      data: {
        job: 'j1',
        method: 'octopus.flash',
        board: 'octopus-v1.1-f446',
        kind: 'phase',
        phase: 'write',
        n: 1,
      },
    },
  ]);
  expect(world.moonraker.now.received.at(-1)).not.toHaveProperty('id');
});

test('progress comes at most every 250 ms, the newest each time, the last one too', async () => {
  for (let i = 1; i <= 1000; i++) {
    progress(i);
    await world.clock.sleep(1);
  }
  await world.clock.sleep(1000);
  const times = world.moonraker.events.map(({ at }) => at as number);
  for (const [index, at] of times.entries())
    if (index > 0) expect(at - (times[index - 1] ?? 0)).toBeGreaterThanOrEqual(PROGRESS_MS);
  expect(times).toHaveLength(5);
  expect(seen().at(0)).toMatchObject({ doneBytes: 1 });
  expect(seen().at(-1)).toMatchObject({ doneBytes: 1000 });
});

test('a phase is never held back, and the progress before it comes before it', async () => {
  progress(1);
  progress(2);
  progress(3);
  tell({ kind: 'phase', phase: 'verify' });
  await world.clock.sleep(1000);
  expect(numbers()).toEqual([1, 3, 4]);
});

test('a phase in between does not hasten the progress after it', async () => {
  progress(1);
  progress(2);
  await world.clock.sleep(200);
  tell({ kind: 'phase', phase: 'verify' });
  const since = world.clock.now();
  progress(3);
  await world.clock.sleep(1000);
  expect(numbers()).toEqual([1, 2, 3, 4]);
  expect(world.moonraker.events.at(-1)?.['at']).toBe(since + PROGRESS_MS);
});

test('two jobs do not hold each other back', async () => {
  progress(1);
  world.agent.events.tell(
    eventOf({ ...job, id: 'j2' }, { kind: 'progress', phase: 'write', doneBytes: 1, totalBytes: 2, n: 1 }),
  );
  await world.clock.sleep(1);
  expect(seen().map((data) => data.job)).toEqual(['j1', 'j2']);
});

test('the end has the next number, and nothing comes after it', async () => {
  progress(1);
  progress(2);
  end(advance(job, { kind: 'ended', result: { verified: true } }));
  await world.clock.sleep(1000);
  expect(numbers()).toEqual([1, 2, 3]);
  expect(seen().at(-1)).toEqual({
    job: 'j1',
    method: 'octopus.flash',
    board: 'octopus-v1.1-f446',
    kind: 'ended',
    n: 3,
    state: 'done',
    result: { verified: true },
  });
});

test('a failure tells its error with advice', async () => {
  const error = new OctopusError('no-boot', 'it did not boot', {
    advice: 'look',
    onBoard: 'the new firmware',
  });
  end(advance(job, { kind: 'failed', error }));
  await world.clock.sleep(1);
  expect(seen()).toMatchObject([{ state: 'failed', error: { code: 'no-boot', advice: 'look' } }]);
});

test('what is told while Moonraker restarts comes when it is back, in order', async () => {
  tell({ kind: 'note', text: 'before' });
  await world.clock.sleep(1);
  const restarting = world.moonraker.restart(1000);
  tell({ kind: 'phase', phase: 'write' });
  progress(1);
  progress(2);
  await restarting;
  tell({ kind: 'phase', phase: 'verify' });
  end(advance(job, { kind: 'ended', result: {} }));
  await world.until(() => world.agent.link.isUp);
  await world.clock.sleep(100);
  expect(numbers()).toEqual([1, 2, 3, 4, 5, 6]);
});

test('of a job of hours without Moonraker the newest events are kept, and no more', async () => {
  world.moonraker.isListening = false;
  world.moonraker.now.close('gone');
  for (let i = 1; i <= 1000; i++) tell({ kind: 'note', text: String(i) });
  world.moonraker.isListening = true;
  await world.until(() => world.agent.link.isUp);
  await world.clock.sleep(100);
  expect(numbers()).toHaveLength(200);
  expect(numbers().at(-1)).toBe(1000);
});
