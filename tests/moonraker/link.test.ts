// The link, trap by trap, in virtual time: identify, register, hear, lose, come back.
import { afterEach, expect, test } from '@jest/globals';
import { MoonrakerRefusal } from '../../src/moonraker/rpc-errors.ts';
import { RpcError, SILENCE } from './fake-moonraker.ts';
import { IDENTITY, startWorld, type World } from './world.ts';

let world: World;
afterEach(() => world.stop());

const downs = () => world.told.filter((event) => event.kind === 'down');
const ups = () => world.told.filter((event) => event.kind === 'up').length;
const isUp = () => world.agent.link.isUp;

test('identifies as an agent and registers its methods, without the first delay', async () => {
  world = startWorld();
  await world.until(isUp);
  const { received, remoteMethods, openedAt } = world.moonraker.now;
  expect(openedAt).toBe(0);
  expect(received[0]).toEqual({
    jsonrpc: '2.0',
    method: 'server.connection.identify',
    id: expect.any(Number),
    params: { client_name: 'octopus', version: '0.1.0', type: 'agent', url: IDENTITY.url },
  });
  expect(remoteMethods).toEqual(['octopus.status']);
});

test('gives the API key where one is configured', async () => {
  world = startWorld(undefined, { identity: { ...IDENTITY, apiKey: 'abc' } });
  await world.until(isUp);
  expect(world.moonraker.now.agent).toMatchObject({ api_key: 'abc' });
});

test('is back after a restart of Moonraker, not sooner than 1 s after the close, registered again', async () => {
  world = startWorld();
  await world.until(isUp);
  const closedAt = world.clock.now();
  await world.moonraker.restart(300);
  await world.until(isUp);
  expect(world.moonraker.now.openedAt).toBeGreaterThanOrEqual(closedAt + 1000);
  expect(world.moonraker.now.openedAt).toBeLessThan(closedAt + 1500);
  expect(world.moonraker.now.remoteMethods).toEqual(['octopus.status']);
});

test('a zombie connection, identified and then never answered, is given up after 10 s of silence', async () => {
  world = startWorld(undefined, {}, (moonraker) => (moonraker.isBeating = false));
  await world.until(isUp);
  const since = world.clock.now();
  await world.until(() => downs().length > 0);
  expect(world.clock.now() - since).toBeGreaterThanOrEqual(9990);
  expect(world.clock.now() - since).toBeLessThan(12_100);
  expect(downs()[0]).toMatchObject({ reason: 'nothing came from Moonraker for 10 s' });
  world.moonraker.isBeating = true;
  await world.until(() => ups() === 2);
});

test('a zombie that answers the identify only is given up before it counts as connected', async () => {
  world = startWorld(undefined, {}, ({ answers }) => {
    answers.set('connection.register_remote_method', () => SILENCE);
  });
  await world.until(() => downs().length > 0);
  expect(ups()).toBe(0);
  expect(downs()[0]).toMatchObject({ reason: expect.stringContaining('did not answer') });
});

test('stays connected for hours while the heartbeat comes', async () => {
  world = startWorld();
  await world.until(isUp);
  await world.clock.sleep(3 * 3_600_000);
  expect(world.moonraker.connections).toHaveLength(1);
});

test('a duplicate agent: closes, says so, tries on with backoff, and gets in when the other one has gone', async () => {
  world = startWorld(undefined, {}, (moonraker) => {
    const identify = moonraker.answers.get('server.connection.identify');
    let refusals = 0;
    moonraker.answers.set('server.connection.identify', (params, connection) => {
      if (refusals++ < 3) throw new RpcError(400, "Agent 'octopus' already registered and connected'");
      return identify?.(params, connection);
    });
  });
  await world.until(isUp);
  expect(world.moonraker.connections.map(({ isOpen }) => isOpen)).toEqual([false, false, false, true]);
  expect(downs()).toHaveLength(3);
  expect(downs()[0]).toMatchObject({
    reason: expect.stringContaining('already registered'),
    advice: expect.stringContaining('Another octopus is connected'),
  });
});

test('Moonraker absent for an hour: tried for ever, never more often than once a second', async () => {
  world = startWorld(undefined, {}, (moonraker) => (moonraker.isListening = false));
  await world.clock.sleep(3_600_000);
  const { attempts } = world.moonraker;
  const gaps = attempts.slice(1).map((at, index) => at - (attempts[index] ?? 0));
  expect(gaps[0]).toBeGreaterThanOrEqual(1000);
  expect(Math.max(...gaps)).toBeLessThanOrEqual(10_001);
  expect(attempts.length).toBeGreaterThan(350);
  expect(downs()[0]).toMatchObject({
    reason: expect.stringContaining('ECONNREFUSED'),
    advice: expect.stringContaining('systemctl status moonraker'),
  });
  world.moonraker.isListening = true;
  await world.until(isUp);
});

test('after a long absence and a connection the next loss is retried after 1 s again', async () => {
  world = startWorld(undefined, {}, (moonraker) => (moonraker.isListening = false));
  await world.clock.sleep(600_000);
  world.moonraker.isListening = true;
  await world.until(isUp);
  world.moonraker.now.close('restarting');
  await world.until(isUp);
  expect(downs().at(-1)).toMatchObject({ retryInMs: 1000 });
});

test('a Moonraker that closes each connection at once is asked at most once a second', async () => {
  world = startWorld();
  for (let i = 0; i < 50; i++) {
    await world.until(() => world.moonraker.connections.some(({ isOpen }) => isOpen));
    world.moonraker.now.close('restarting');
  }
  const { attempts } = world.moonraker;
  for (const [index, at] of attempts.entries())
    if (index > 0) expect(at - (attempts[index - 1] ?? 0)).toBeGreaterThanOrEqual(1000);
});

test('a wrong API key: said with the cure, tried on', async () => {
  world = startWorld(undefined, {}, ({ answers }) => {
    answers.set('server.connection.identify', () => {
      throw new RpcError(-32602, 'Invalid API Key');
    });
  });
  await world.until(() => downs().length > 1);
  expect(downs()[0]).toMatchObject({
    reason: expect.stringContaining('Invalid API Key'),
    advice: expect.stringContaining('api_key'),
  });
});

test('a remote method that is taken costs only the macro', async () => {
  world = startWorld(
    { 'octopus.status': async () => ({}), 'octopus.flash': async () => ({}) },
    {},
    (moonraker) => {
      const register = moonraker.answers.get('connection.register_remote_method');
      moonraker.answers.set('connection.register_remote_method', (params, connection) => {
        if (params['method_name'] === 'octopus.flash')
          throw new RpcError(400, 'Remote method (octopus.flash) already registered');
        return register?.(params, connection);
      });
    },
  );
  await world.until(isUp);
  expect(world.moonraker.now.remoteMethods).toEqual(['octopus.status']);
  expect(world.told).toContainEqual({ kind: 'trouble', text: expect.stringContaining('octopus.flash') });
});

test('a request that nobody answers ends in time; its late answer harms nothing', async () => {
  world = startWorld();
  await world.until(isUp);
  const { link } = world.agent;
  world.moonraker.answers.set('server.info', () => SILENCE);
  await expect(link.request('server.info', undefined, { timeoutMs: 700 })).rejects.toMatchObject({
    code: 'printer-unreachable',
    message: 'Moonraker did not answer server.info within 700 ms',
  });
  const asked = world.moonraker.now.received.at(-1);
  world.moonraker.now.send({ jsonrpc: '2.0', id: asked?.['id'], result: 'late' });
  world.moonraker.answers.set('server.info', () => ({ klippy_state: 'ready' }));
  expect(await link.request('server.info')).toEqual({ klippy_state: 'ready' });
});

test('what is asked while the connection dies is rejected at once; before it is there, too, unless it may wait', async () => {
  world = startWorld();
  await expect(world.agent.link.request('server.info')).rejects.toMatchObject({
    code: 'printer-unreachable',
  });
  world.moonraker.answers.set('server.info', () => 'here');
  expect(await world.agent.link.request('server.info', {}, { waitMs: 5000 })).toBe('here');
  world.moonraker.answers.set('server.info', () => SILENCE);
  const asked = world.agent.link.request('server.info');
  const at = world.clock.now();
  world.moonraker.now.close('gone');
  await expect(asked).rejects.toMatchObject({ message: expect.stringContaining('gone') });
  expect(world.clock.now()).toBe(at);
});

test("Moonraker's refusals keep their code; Method not found and 503 mean that Klipper is down", async () => {
  world = startWorld();
  await world.until(isUp);
  const refusal = await world.agent.link.request('printer.info').catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(MoonrakerRefusal);
  expect(refusal).toMatchObject({ code: -32601, isKlipperDown: true });
  expect(new MoonrakerRefusal(503, 'Klippy Host not connected').isKlipperDown).toBe(true);
  expect(new MoonrakerRefusal(400, 'x').isKlipperDown).toBe(false);
});

test('notifications reach who listens, and a listener that throws costs nothing', async () => {
  world = startWorld();
  await world.until(isUp);
  const heard: unknown[] = [];
  world.agent.link.onNotification('notify_klippy_ready', () => {
    throw new Error('a fault of a listener');
  });
  const off = world.agent.link.onNotification('notify_klippy_ready', (params) => heard.push(params));
  world.moonraker.notify('notify_klippy_ready');
  world.moonraker.notify('notify_klippy_ready', 1);
  await world.clock.sleep(1);
  off();
  world.moonraker.notify('notify_klippy_ready', 2);
  await world.clock.sleep(1);
  expect(heard).toEqual([undefined, [1]]);
  expect(world.told).toContainEqual({
    kind: 'trouble',
    text: expect.stringContaining('a fault of a listener'),
  });
  expect(isUp()).toBe(true);
});

test('a connection attempt that hangs is called off after 10 s', async () => {
  const hanging = {
    place: 'nowhere',
    connect: (_: unknown, signal: AbortSignal) =>
      new Promise<never>((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(new Error('called off'))),
      ),
  };
  world = startWorld(undefined, { dialer: hanging });
  await world.until(() => downs().length > 0);
  expect(world.clock.now()).toBeLessThan(10_100);
});

test('it stops when told to, leaving no timer and no connection behind', async () => {
  world = startWorld();
  await world.until(isUp);
  world.moonraker.answers.set('server.info', () => SILENCE);
  const asked = world.agent.link.request('server.info').catch((error: unknown) => error);
  await world.halt();
  expect(await asked).toMatchObject({ code: 'printer-unreachable' });
  await world.clock.sleep(2000);
  expect(world.clock.sleepers).toBe(0);
  expect(world.moonraker.connections.every(({ isOpen }) => !isOpen)).toBe(true);
  expect(downs()).toEqual([]);
});
