// What the tests of the link share: an agent on a fake Moonraker, in virtual time.
import { createAgent, type Agent, type AgentParts } from '../../src/moonraker/agent.ts';
import type { LinkEvent } from '../../src/moonraker/link.ts';
import type { Handler } from '../../src/moonraker/serving.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';
import { FakeMoonraker } from './fake-moonraker.ts';

export interface World {
  readonly clock: VirtualClock;
  readonly moonraker: FakeMoonraker;
  readonly agent: Agent;
  readonly told: LinkEvent[];
  /** In virtual time; the world must not need more than an hour for anything. */
  readonly until: (condition: () => boolean) => Promise<void>;
  /** Ends the agent; `agent.run` has returned by then. */
  readonly halt: () => Promise<void>;
  /** Ends the agent and time. */
  readonly stop: () => Promise<void>;
}

export const IDENTITY = { name: 'octopus', version: '0.1.0', url: 'https://example.com/octopus' };

export function startWorld(
  methods: Record<string, Handler> = { 'octopus.status': async () => ({ board: 'idle' }) },
  parts: Partial<AgentParts> = {},
  prepare: (moonraker: FakeMoonraker) => void = () => {},
): World {
  const clock = new VirtualClock();
  const moonraker = new FakeMoonraker(clock);
  prepare(moonraker);
  const told: LinkEvent[] = [];
  const agent = createAgent({
    dialer: moonraker,
    clock,
    identity: IDENTITY,
    methods: new Map(Object.entries(methods)),
    onEvent: (event) => told.push(event),
    ...parts,
  });
  const abort = new AbortController();
  const running = agent.run(abort.signal);
  const until = async (condition: () => boolean) => {
    const limit = clock.now() + 3_600_000;
    while (!condition()) {
      if (clock.now() > limit) throw new Error('it has not happened within an hour');
      await clock.sleep(10);
    }
  };
  const halt = async () => {
    abort.abort();
    await running;
  };
  const stop = async () => {
    await halt();
    clock.stop();
  };
  return { clock, moonraker, agent, told, until, halt, stop };
}
