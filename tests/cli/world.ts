// A world for the command line without files and processes: a bench in virtual time behind the real program.
import { runCommandLine } from '../../src/cli/program.ts';
import type { World } from '../../src/cli/world.ts';
import { OctopusError } from '../../src/errors.ts';
import { JobBook } from '../../src/jobs/book.ts';
import { createLog } from '../../src/log.ts';
import { modelBoards } from '../../src/methods/boards.ts';
import { ownImages } from '../../src/methods/image-source.ts';
import { createBench, type VirtualBench } from '../../src/virtual/bench.ts';
import { fakeStreams, type FakeStreams } from './streams.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs one command on `bench`, or on none. */
export async function run(
  args: readonly string[],
  bench?: VirtualBench,
  streams: FakeStreams = fakeStreams(),
  own: Partial<World> = {},
): Promise<Ran> {
  const house = {
    boards: modelBoards(PINS, { heaters: { kind: 'unused' }, onlyBoard: bench?.board.data.name }),
    images: ownImages('/home/nobody'),
    jobs: new JobBook(),
    isRemote: false,
    daemon: undefined,
  };
  const world: World = {
    version: '1.2.3',
    log: () => createLog(false),
    virtualBoards: () => [{ name: 'octopus-v1.1-f446', title: 'T', mcu: 'stm32f446xx' }],
    virtualStates: ['used', 'blank'],
    boards: async () => house.boards,
    open: async (_settings, needs) => {
      if (bench !== undefined) return { kit: bench, house, dispose: async () => {} };
      const spare = await createBench();
      spare.dispose();
      if (needs === 'job' || needs === 'board')
        throw new OctopusError('no-hardware', 'none', { advice: 'none' });
      return { kit: spare, house, dispose: async () => {} };
    },
    openDemo: () => Promise.reject(new Error('not in these tests')),
    attach: async () => undefined,
    daemon: () => Promise.reject(new Error('not in these tests')),
    afterStop: () => Promise.reject(new Error('not in these tests')),
    warmUp: async () => {},
    serveVirtual: () => Promise.reject(new Error('not in these tests')),
    supportBundle: () => Promise.reject(new Error('not in these tests')),
    arm: () => Promise.reject(new Error('not in these tests')),
    ...own,
  };
  const code = await runCommandLine(args, world, streams);
  return { code, out: streams.out.text(), err: streams.err.text() };
}
const PINS = { boot0: 'gpio26', nrst: 'gpio19' };

export { createBench };
