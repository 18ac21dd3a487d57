// The link on a real Moonraker from PyPI: what the fake one of the other tests claims, seen here.
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { OctopusError } from '../../../src/errors.ts';
import { createAgent, type Agent, type AgentParts } from '../../../src/moonraker/agent.ts';
import type { LinkEvent } from '../../../src/moonraker/link.ts';
import { MoonrakerPrinter } from '../../../src/moonraker/printer.ts';
import { unixDialer } from '../../../src/moonraker/unix-wire.ts';
import { webSocketDialer } from '../../../src/moonraker/websocket-wire.ts';
import type { Handler } from '../../../src/moonraker/serving.ts';
import { RealClock } from '../../../src/virtual/real-clock.ts';
import { PlainClient, RealMoonraker, eventually } from './real-moonraker.ts';

jest.setTimeout(60_000);

let moonraker: RealMoonraker;
beforeAll(async () => {
  moonraker = await RealMoonraker.start();
}, 300_000);
afterAll(() => moonraker.stop());

const JOB = { job: 'j1', method: 'octopus.flash', board: 'octopus-v1.1-f446' };
const clock = new RealClock();
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const calls: unknown[] = [];
const METHODS: Record<string, Handler> = {
  'octopus.status': async (params, via) => {
    calls.push(params);
    return { params, via };
  },
  'octopus.flash': async () => {
    throw new OctopusError('gate-closed', 'not now: a print is running', { advice: 'Wait for its end.' });
  },
  'octopus.inspect': async () => null as unknown as object,
  'octopus.backups': async () => {
    await clock.sleep(500);
    return { list: [] };
  },
};

function startAgent(parts: Partial<AgentParts> & Pick<AgentParts, 'dialer'>): {
  agent: Agent;
  told: LinkEvent[];
} {
  const told: LinkEvent[] = [];
  const agent = createAgent({
    clock,
    identity: { name: 'octopus', version: '0.1.0', url: 'https://example.com/octopus' },
    methods: new Map(Object.entries(METHODS)),
    onEvent: (event) => told.push(event),
    ...parts,
  });
  const abort = new AbortController();
  const running = agent.run(abort.signal);
  cleanups.push(async () => {
    abort.abort();
    await running;
  });
  return { agent, told };
}

async function client(): Promise<PlainClient> {
  const plain = await PlainClient.connect(moonraker.url);
  cleanups.push(() => plain.close());
  return plain;
}

const up = (agent: Agent) => eventually('the agent is connected', () => agent.link.isUp || undefined);

describe.each([
  ['Unix socket', () => unixDialer(moonraker.socketPath)],
  ['WebSocket', () => webSocketDialer({ url: moonraker.url })],
])('over the %s', (_name, dialer) => {
  test('it is listed as agent, and gone when it stops', async () => {
    const plain = await client();
    const { agent } = startAgent({ dialer: dialer() });
    await up(agent);
    const listed = await plain.ask('server.extensions.list');
    expect(listed['result']).toEqual({
      agents: [{ name: 'octopus', version: '0.1.0', type: 'agent', url: 'https://example.com/octopus' }],
    });
    await cleanups.pop()?.();
    await eventually('the agent has left', async () => {
      const { result } = await plain.ask('server.extensions.list');
      return result.agents.length === 0 || undefined;
    });
  });

  test('requests reach its methods, however their arguments are given; answers may overtake', async () => {
    const plain = await client();
    const { agent } = startAgent({ dialer: dialer() });
    await up(agent);
    const slow = plain.agent('octopus.backups');
    for (const args of [undefined, null, {}, []])
      expect(await plain.agent('octopus.status', args)).toMatchObject({
        result: { params: {}, via: 'request' },
      });
    expect(await plain.agent('octopus.status', { board: 'x' })).toMatchObject({
      result: { params: { board: 'x' } },
    });
    expect(await plain.agent('octopus.status', [1])).toMatchObject({
      error: { code: 424, data: { code: -32602, data: { code: 'bad-parameter' } } },
    });
    expect(await slow).toMatchObject({ result: { list: [] } });
  });

  test("errors arrive with code, message and advice as Moonraker's data; HTTP callers get none of it", async () => {
    const plain = await client();
    const { agent } = startAgent({ dialer: dialer() });
    await up(agent);
    expect((await plain.agent('octopus.flash'))['error']).toEqual({
      code: 424,
      message: 'Agent octopus RPC error',
      data: {
        code: -32001,
        message: 'not now: a print is running. Wait for its end. [gate-closed]',
        data: {
          code: 'gate-closed',
          message: 'not now: a print is running',
          advice: 'Wait for its end.',
        },
      },
    });
    expect(await plain.agent('octopus.inspect')).toMatchObject({ error: { data: { code: -32603 } } });
    expect(await plain.agent('octopus.nothing')).toMatchObject({ error: { data: { code: -32601 } } });
    const http = await moonraker.post('/server/extensions/request', {
      agent: 'octopus',
      method: 'octopus.flash',
    });
    expect(http.status).toBe(424);
    expect(JSON.stringify(http.body)).not.toContain('print is running');
  });

  test('events reach another client in order, with their numbers', async () => {
    const plain = await client();
    const { agent } = startAgent({ dialer: dialer() });
    await up(agent);
    for (let n = 1; n <= 100; n++) agent.events.tell({ ...JOB, kind: 'note', text: `line ${n}`, n });
    agent.events.tell({ ...JOB, kind: 'ended', n: 101, state: 'done', result: { verified: true } });
    const events = await eventually('all events', () =>
      plain.events('job').length >= 101 ? plain.events('job') : undefined,
    );
    expect(events.map(({ n }) => n)).toEqual(Array.from({ length: 101 }, (_, index) => index + 1));
    expect(events.at(-1)).toMatchObject({ kind: 'ended', state: 'done', result: { verified: true } });
  });

  test('Moonraker restarts in the middle: the agent is back and served', async () => {
    const plain = await client();
    const { agent, told } = startAgent({ dialer: dialer() });
    await up(agent);
    void plain.ask('server.restart');
    await eventually('the connection is lost', () => told.some(({ kind }) => kind === 'down') || undefined);
    agent.events.tell({ ...JOB, kind: 'note', text: 'meanwhile', n: 1 });
    const second = await eventually('Moonraker is back', () => client().catch(() => undefined));
    await up(agent);
    expect(await second.agent('octopus.status')).toMatchObject({ result: { via: 'request' } });
    // Twice: no zombie, which answers the first words and then nothing.
    expect(await second.agent('octopus.status')).toMatchObject({ result: { via: 'request' } });
    expect(await agent.link.request('server.info')).toHaveProperty('klippy_state');
  });
});

test('a second octopus is refused with the reason, and gets in once the first has gone', async () => {
  const first = startAgent({ dialer: unixDialer(moonraker.socketPath) });
  await up(first.agent);
  const stopFirst = cleanups.pop();
  const second = startAgent({ dialer: unixDialer(moonraker.socketPath) });
  await eventually('the refusal', () => second.told.find(({ kind }) => kind === 'down'));
  expect(second.told[0]).toMatchObject({
    kind: 'down',
    reason: expect.stringContaining('already registered'),
  });
  await stopFirst?.();
  await up(second.agent);
});

test('the heartbeat is there: nothing but notify_proc_stat_update for 12 s keeps the connection', async () => {
  const { agent, told } = startAgent({ dialer: unixDialer(moonraker.socketPath) });
  await up(agent);
  await clock.sleep(12_500);
  expect(told.map(({ kind }) => kind)).toEqual(['up']);
}, 20_000);

test('without Klipper: disconnected, no temperatures; without a service provider: refused with the cure', async () => {
  const { agent } = startAgent({ dialer: unixDialer(moonraker.socketPath) });
  await up(agent);
  const printer = new MoonrakerPrinter({ link: agent.link, clock, mcu: 'mcu' });
  expect(await printer.read()).toEqual({
    state: 'disconnected',
    printing: false,
    paused: false,
    moving: false,
    zHomed: false,
    heaters: [],
  });
  await expect(printer.stopKlipper()).rejects.toMatchObject({
    code: 'printer-unreachable',
    advice: expect.stringContaining('provider'),
  });
  expect(await printer.verdict(100)).toEqual({
    state: 'not_ready',
    reason: "Klipper's service is not running",
  });
});

test('a request of 15 MiB over the Unix socket arrives; one of 30 MiB is answered, and touches nothing', async () => {
  const { agent } = startAgent({ dialer: unixDialer(moonraker.socketPath) });
  await up(agent);
  const request = (x: string) =>
    moonraker.post('/server/extensions/request', {
      agent: 'octopus',
      method: 'octopus.status',
      arguments: { x },
    });
  calls.length = 0;
  expect((await request('x'.repeat(15 << 20))).status).toBe(200);
  expect(calls).toHaveLength(1);
  expect((await request('x'.repeat(30 << 20))).status).toBe(424);
  expect(calls).toHaveLength(1);
  expect(agent.link.isUp).toBe(true);
}, 30_000);

describe('where a key is asked for', () => {
  let locked: RealMoonraker;
  beforeAll(async () => {
    locked = await RealMoonraker.start({ needsKey: true });
  }, 60_000);
  afterAll(() => locked.stop());

  test('no key and a wrong key are refused with the cure; the right one and the Unix socket get in', async () => {
    const keyless = startAgent({ dialer: webSocketDialer({ url: locked.url }) });
    await eventually('the refusal', () => keyless.told.find(({ kind }) => kind === 'down'));
    expect(keyless.told[0]).toMatchObject({ kind: 'down', advice: expect.stringContaining('api_key') });
    await cleanups.pop()?.();

    const identity = {
      name: 'octopus',
      version: '0.1.0',
      url: 'https://example.com/octopus',
      apiKey: 'wrong',
    };
    const wrong = startAgent({ dialer: webSocketDialer({ url: locked.url, apiKey: 'wrong' }), identity });
    await eventually('the refusal', () => wrong.told.find(({ kind }) => kind === 'down'));
    expect(wrong.told[0]).toMatchObject({ kind: 'down', reason: expect.stringContaining('Invalid API Key') });
    await cleanups.pop()?.();

    const header = startAgent({ dialer: webSocketDialer({ url: locked.url, apiKey: 'wrong' }) });
    await eventually('the refusal', () => header.told.find(({ kind }) => kind === 'down'));
    expect(header.told[0]).toMatchObject({ kind: 'down', advice: expect.stringContaining('api_key') });
    await cleanups.pop()?.();

    const local = startAgent({ dialer: unixDialer(locked.socketPath) });
    await up(local.agent);
    // Over the Unix socket Moonraker gives its key to anybody.
    const apiKey = String(await local.agent.link.request('access.get_api_key'));
    await cleanups.pop()?.();

    const right = startAgent({
      dialer: webSocketDialer({ url: locked.url, apiKey }),
      identity: { ...identity, apiKey },
    });
    await up(right.agent);
  });
});
