// Toolheads on the bus of a virtual board that commands share: --nodes and --virtual-dir.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fakeStreams } from '../cli/streams.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import { createWorld } from '../../src/compose/world.ts';
import { canUuid } from '../../src/virtual/can-uuid.ts';
import { toolheadsOnBus } from '../../src/virtual/toolheads.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'nodes-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface Answer {
  readonly interface?: string;
  readonly nodes?: readonly {
    readonly uuid: string;
    readonly application: string;
    readonly bridge?: boolean;
  }[];
  readonly error?: object;
}

async function octopus(...args: string[]): Promise<Answer> {
  const streams = fakeStreams();
  await runCommandLine(
    [...args, '--virtual', 'octopus-v1.1-f446', '--fast', '--json'],
    createWorld(),
    streams,
  );
  const answer: Answer = JSON.parse(streams.out.text().trim().split('\n').at(-1) ?? '');
  return answer;
}
const uuids = ({ nodes }: Answer) => nodes?.map(({ uuid }) => uuid);

test('eight toolheads of mixed models, each with a uuid of its own chip', async () => {
  const answer = await octopus('canbus-query', '--nodes', '8', '--data', join(dir, 'data'));
  expect(answer.interface).toBe('can0');
  expect(answer.nodes).toHaveLength(8);
  expect(new Set(answer.nodes?.map(({ application }) => application))).toEqual(new Set(['klipper']));
  const expected = toolheadsOnBus(8).map(({ uid = '' }) => canUuid(Buffer.from(uid, 'hex')));
  expect(uuids(answer)).toEqual(expected.sort());
  expect(new Set(toolheadsOnBus(8).map(({ model }) => model)).size).toBeGreaterThan(2);
  expect(toolheadsOnBus(32).slice(0, 8)).toEqual(toolheadsOnBus(8));
});

test('on a bridge they hang on its bus', async () => {
  const answer = await octopus(
    'canbus-query',
    '--nodes',
    '3',
    '--state',
    'bridge',
    '--data',
    join(dir, 'data'),
  );
  // The bridge itself is known by what it shows on USB.
  const toolheads = answer.nodes?.filter(({ bridge }) => bridge !== true).map(({ uuid }) => uuid);
  expect(toolheads).toEqual(
    toolheadsOnBus(3)
      .map(({ uid = '' }) => canUuid(Buffer.from(uid, 'hex')))
      .sort(),
  );
  expect(answer.nodes).toHaveLength(4);
});

test('a kept board keeps its toolheads, and is not taken for one with others', async () => {
  const first = await octopus('canbus-query', '--nodes', '2', '--virtual-dir', dir);
  const again = await octopus('canbus-query', '--virtual-dir', dir);
  expect([uuids(first)?.length, uuids(again)]).toEqual([2, uuids(first)]);
  expect(await octopus('canbus-query', '--nodes', '3', '--virtual-dir', dir)).toMatchObject({
    error: { code: 'bad-parameter', message: expect.stringContaining('with 2 toolheads') },
  });
});

test('a kept board without a bus gets one', async () => {
  expect(await octopus('status', '--virtual-dir', dir)).not.toHaveProperty('error');
  expect(uuids(await octopus('canbus-query', '--nodes', '1', '--virtual-dir', dir))).toHaveLength(1);
});
