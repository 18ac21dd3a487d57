// What callers of the agent get, through the fake Moonraker: one answer each, never null, errors that tell.
import { afterEach, expect, test } from '@jest/globals';
import { OctopusError } from '../../src/errors.ts';
import { createAgent } from '../../src/moonraker/agent.ts';
import type { Handler } from '../../src/moonraker/serving.ts';
import { VirtualClock } from '../../src/virtual/clock.ts';
import { FakeMoonraker } from './fake-moonraker.ts';
import { IDENTITY, startWorld, type World } from './world.ts';

let world: World | undefined;
afterEach(() => world?.stop());

async function serve(methods: Record<string, Handler>): Promise<World> {
  world = startWorld(methods);
  const { agent, until } = world;
  await until(() => agent.link.isUp);
  return world;
}

const ID = 139_696_088_166_560;

/** As `server.extensions.request` delivers it; the answers that came to it. */
async function ask({ moonraker, clock }: World, message: object, id: unknown = ID) {
  const connection = moonraker.now;
  const before = connection.answersTo(id).length;
  connection.send({ jsonrpc: '2.0', id, ...message });
  await clock.sleep(100);
  return connection.answersTo(id).slice(before);
}

const echo: Handler = async (params, via) => ({ params, via });

test.each([
  ['absent', {}, {}],
  ['null', { params: null }, {}],
  ['an object', { params: { board: 'x' } }, { board: 'x' }],
])('parameters %s', async (_name, message, params) => {
  const there = await serve({ 'octopus.echo': echo });
  expect(await ask(there, { method: 'octopus.echo', ...message })).toEqual([
    { jsonrpc: '2.0', id: ID, result: { params, via: 'request' } },
  ]);
});

test('parameters as a list are refused with the cure, and the method is not called', async () => {
  let calls = 0;
  const there = await serve({
    'octopus.echo': async () => {
      calls++;
      return {};
    },
  });
  const [answer] = await ask(there, { method: 'octopus.echo', params: [1, 'x', { y: 1 }] });
  expect(answer).toMatchObject({
    error: { code: -32602, data: { code: 'bad-parameter', advice: expect.stringContaining('as an object') } },
  });
  expect(calls).toBe(0);
});

test('an unknown method says which exist, and which was probably meant', async () => {
  const there = await serve({ 'octopus.flash': echo, 'octopus.status': echo });
  const [answer] = await ask(there, { method: 'octopus.flsh' });
  expect(answer?.['error']).toEqual({
    code: -32601,
    message:
      'there is no method "octopus.flsh". Did you mean octopus.flash? ' +
      'There are: octopus.flash, octopus.status. [unknown-method]',
    data: {
      code: 'unknown-method',
      message: 'there is no method "octopus.flsh"',
      advice: 'Did you mean octopus.flash? There are: octopus.flash, octopus.status.',
      place: 'method',
    },
  });
  for (const method of ['__proto__', 'constructor', 'notify_klippy_ready', 'server.info'])
    expect(await ask(there, { method })).toMatchObject([{ error: { code: -32601 } }]);
});

test.each([
  ['bad-parameter', -32602],
  ['gate-closed', -32001],
  ['busy', -32002],
  ['no-device', -32000],
  ['internal', -32603],
] as const)('%s has the code %i, and the message alone says what to do', async (code, number) => {
  const there = await serve({
    'octopus.flash': async () => {
      throw new OctopusError(code, 'it did not work', {
        advice: 'Try again',
        place: '0x08000000',
        onBoard: 'The old firmware is still there',
      });
    },
  });
  const [answer] = await ask(there, { method: 'octopus.flash' });
  expect(answer?.['error']).toEqual({
    code: number,
    message: `it did not work. The old firmware is still there. Try again. [${code}]`,
    data: {
      code,
      message: 'it did not work',
      advice: 'Try again',
      place: '0x08000000',
      onBoard: 'The old firmware is still there',
    },
  });
});

test('a null result never leaves: Moonraker would make an error without a text of it', async () => {
  const there = await serve({
    'octopus.nothing': async () => null as unknown as object,
    'octopus.undefined': async () => undefined as unknown as object,
    'octopus.word': async () => 'ok' as unknown as object,
  });
  for (const name of ['nothing', 'undefined', 'word']) {
    const answers = await ask(there, { method: `octopus.${name}` });
    expect(answers).toMatchObject([{ jsonrpc: '2.0', error: { code: -32603, data: { code: 'internal' } } }]);
  }
});

test('a handler that throws at once, or throws no error, is answered like any other', async () => {
  const there = await serve({
    'octopus.throws': () => {
      throw new RangeError('at once');
    },
    'octopus.text': () => Promise.reject('a text'), // oxlint-disable-line prefer-promise-reject-errors
  });
  expect(await ask(there, { method: 'octopus.throws' })).toMatchObject([
    { error: { message: expect.stringContaining('at once') } },
  ]);
  expect(await ask(there, { method: 'octopus.text' })).toMatchObject([
    { error: { message: expect.stringContaining('a text') } },
  ]);
});

test('an answer that is no JSON, or too long for the wire, becomes an error: still one answer', async () => {
  const there = await serve({
    'octopus.big': async () => ({ n: 1n }),
    'octopus.round': async () => {
      const round: Record<string, unknown> = {};
      round['self'] = round;
      return round;
    },
  });
  expect(await ask(there, { method: 'octopus.big' })).toMatchObject([{ error: { code: -32603 } }]);
  expect(await ask(there, { method: 'octopus.round' })).toMatchObject([{ error: { code: -32603 } }]);
});

test('ids come back unchanged, are used again by Moonraker, and answers may overtake each other', async () => {
  const gate = Promise.withResolvers<object>();
  const there = await serve({
    'octopus.slow': () => gate.promise,
    'octopus.fast': async () => ({ fast: 1 }),
  });
  expect(await ask(there, { method: 'octopus.slow' }, 7)).toEqual([]);
  expect(await ask(there, { method: 'octopus.fast' }, 8)).toHaveLength(1);
  expect(await ask(there, { method: 'octopus.fast' }, 8)).toHaveLength(1);
  expect(await ask(there, { method: 'octopus.fast' }, '9')).toMatchObject([{ id: '9' }]);
  expect(await ask(there, { method: 'octopus.fast' }, 0)).toMatchObject([{ id: 0 }]);
  gate.resolve({ slow: 1 });
  await there.clock.sleep(1);
  expect(there.moonraker.now.answersTo(7)).toEqual([{ jsonrpc: '2.0', id: 7, result: { slow: 1 } }]);
});

test('an answer never goes to another connection than its request came from', async () => {
  const gate = Promise.withResolvers<object>();
  const there = await serve({ 'octopus.slow': () => gate.promise });
  await ask(there, { method: 'octopus.slow' }, 7);
  await there.moonraker.restart(100);
  await there.until(() => there.agent.link.isUp);
  gate.resolve({});
  await there.clock.sleep(100);
  expect(there.moonraker.connections.flatMap((connection) => connection.answersTo(7))).toEqual([]);
});

test('a remote method comes without id and gets no answer, also when it fails: the log hears of it', async () => {
  const calls: unknown[] = [];
  const there = await serve({
    'octopus.flash': async (params, via) => {
      calls.push([params, via]);
      throw new OctopusError('busy', 'somebody is at it', { advice: 'Wait.' });
    },
  });
  const connection = there.moonraker.now;
  const before = connection.received.length;
  connection.send({ jsonrpc: '2.0', method: 'octopus.flash', params: { board: 'main', force: 1 } });
  connection.send({ jsonrpc: '2.0', method: 'octopus.flash' });
  connection.send({ jsonrpc: '2.0', method: 'octopus.unknown' });
  await there.clock.sleep(100);
  expect(calls).toEqual([
    [{ board: 'main', force: 1 }, 'macro'],
    [{}, 'macro'],
  ]);
  expect(connection.received.slice(before)).toEqual([]);
  expect(there.told).toContainEqual({
    kind: 'trouble',
    text: 'octopus.flash from a macro: somebody is at it. Wait.',
  });
});

test('what is no JSON-RPC is told and survived', async () => {
  const there = await serve({ 'octopus.echo': echo });
  const connection = there.moonraker.now;
  const odd = [
    '',
    '{',
    'null',
    '5',
    '"x"',
    '[]',
    '[null]',
    '{}',
    '{"id":5}',
    '{"jsonrpc":"2.0","method":5,"id":1}',
  ];
  odd.push(
    '{"error":{"code":-32600,"message":"Invalid Request"},"id":4}',
    '{"method":"octopus.echo","id":3}',
  );
  odd.push(
    '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}',
    '{"jsonrpc":"2.0","id":999,"result":1}',
  );
  for (const text of odd) connection.sendText(text);
  await there.clock.sleep(100);
  expect(there.told.filter(({ kind }) => kind === 'trouble').length).toBeGreaterThan(8);
  expect(await ask(there, { method: 'octopus.echo' })).toHaveLength(1);
});

test('a request that is too long is answered by the id in its head, which its content cannot forge', async () => {
  const there = await serve({ 'octopus.echo': echo });
  const connection = there.moonraker.now;
  connection.sendTooLong(
    '{"jsonrpc":"2.0","method":"octopus.echo","id":77,"params":{"id":78,"x":"',
    31_457_280,
  );
  connection.sendTooLong('{"jsonrpc":"2.0","method":"octopus.echo","params":{"id":78,"x":"', 31_457_280);
  connection.sendTooLong(
    String.raw`{"jsonrpc":"2.0","method":"x\",\"id\":78,\"x","id":79,"params":{"x":"`,
    31_457_280,
  );
  connection.sendTooLong('{"jsonrpc":"2.0","method":"octopus.echo","id":80.5,"params":{"x":"', 31_457_280);
  await there.clock.sleep(100);
  expect(connection.answersTo(77)).toMatchObject([
    { error: { code: -32602, data: { code: 'bad-parameter' } } },
  ]);
  expect(connection.answersTo(78)).toEqual([]);
  expect(connection.answersTo(79)).toHaveLength(1);
  expect(connection.answersTo(80)).toEqual([]);
});

test('what is nested deeper than anybody means is refused before it is read: it would end whoever walks it', async () => {
  const there = await serve({ 'octopus.echo': echo });
  const connection = there.moonraker.now;
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
  for (const text of [nested(100_000), `{"id":1,"result":${nested(100_000)}}`, `"${nested(100_000)}`])
    connection.sendText(text);
  connection.sendText(`{"jsonrpc":"2.0","method":"octopus.echo","id":81,"params":{"x":${nested(100_000)}}}`);
  await there.clock.sleep(100);
  expect(connection.answersTo(81)).toMatchObject([
    {
      error: { code: -32602, data: { code: 'bad-parameter' }, message: expect.stringContaining('64 levels') },
    },
  ]);
  // Brackets in a text are no levels.
  const [answer] = await ask(there, { method: 'octopus.echo', params: { x: `\\"${nested(1000)}` } });
  expect(answer).toMatchObject({ result: { params: { x: `\\"${nested(1000)}` } } });
});

test('names that are no methods of ours cannot be served', () => {
  const clock = new VirtualClock();
  const parts = { dialer: new FakeMoonraker(clock), clock, identity: IDENTITY, onEvent: () => {} };
  for (const name of ['flash', 'notify_klippy_ready', 'octopus.', 'Octopus.flash', '__proto__'])
    expect(() => createAgent({ ...parts, methods: new Map([[name, echo]]) })).toThrow(TypeError);
  expect(() => createAgent({ ...parts, methods: new Map(), remoteMethods: ['octopus.flash'] })).toThrow(
    TypeError,
  );
});
