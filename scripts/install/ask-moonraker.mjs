// Asks a printer's Moonraker on its Unix socket, which needs no login: whether the printer is idle, and that Klipper reads
// its configuration anew. For every Node from 18 on. Prints one line; exit code 1: nobody answers.
//   ask-moonraker.mjs SOCKET state            idle | busy | starting | down
//   ask-moonraker.mjs SOCKET klippy           Klipper's own word: ready, error, shutdown, startup, disconnected
//   ask-moonraker.mjs SOCKET reload-klipper   the state that Klipper ends in (ready, error ...), or busy: nothing was done
import { createConnection } from 'node:net';

const [path = '', verb = ''] = process.argv.slice(2);
const ANSWER_MS = 10_000;
/** A Moonraker that was just restarted listens after a second or two. */
const CONNECT_MS = 15_000;
/** Klipper is gone within a moment; one that was down has nowhere to go. */
const GONE_MS = 3000;
/** Klipper waits 90 s for an MCU that is not there. */
const SETTLE_MS = 30_000;
const END = '\x03';

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function connect() {
  for (const until = Date.now() + CONNECT_MS; ;) {
    try {
      return await new Promise((resolve, reject) => {
        const socket = createConnection(path, () => resolve(socket));
        socket.once('error', reject);
      });
    } catch (error) {
      if (verb !== 'reload-klipper' || Date.now() > until) throw error;
      await wait(500);
    }
  }
}

const socket = await connect().catch((error) => fail(error.message));
const waiting = new Map();
/** A Klipper that restarts leaves first; until then its state is the old one. */
const isGone = {};
isGone.promise = new Promise((resolve) => (isGone.resolve = resolve));
let text = '';
socket.on('error', (error) => fail(error.message));
socket.on('close', () => fail('the connection was closed'));
socket.on('data', (chunk) => {
  const parts = (text + chunk).split(END);
  text = parts.pop() ?? '';
  for (const part of parts) {
    const { id, method, result, error } = JSON.parse(part);
    if (method === 'notify_klippy_disconnected') isGone.resolve();
    waiting.get(id)?.(error === undefined ? { result } : { error });
    waiting.delete(id);
  }
});
let lastId = 0;

/** Resolves with {result} or {error}; nobody waits for ever. */
function ask(method, params) {
  const id = ++lastId;
  socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, ...(params && { params }) })}${END}`);
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    setTimeout(() => fail(`${method} was not answered`), ANSWER_MS).unref();
  });
}

async function klippyState() {
  const { result, error } = await ask('server.info');
  if (error !== undefined) fail(error.message);
  return result.klippy_connected ? String(result.klippy_state) : 'disconnected';
}

/** Fails closed: what is not understood is not idle. */
async function printerState() {
  const klippy = await klippyState();
  if (klippy === 'disconnected') return 'down';
  if (klippy === 'startup') return 'starting';
  // Neither prints, nor moves: it has switched everything off.
  if (klippy === 'error' || klippy === 'shutdown') return 'idle';
  const { result, error } = await ask('printer.objects.query', {
    objects: { print_stats: null, idle_timeout: null, pause_resume: null, virtual_sdcard: null },
  });
  if (error !== undefined) fail(error.message);
  const { print_stats: stats, idle_timeout: idle, pause_resume: pause, virtual_sdcard: card } = result.status;
  const prints = ['printing', 'paused'].includes(stats?.state);
  // "Printing" is any G-code that moves: homing, a mesh.
  const moves = idle?.state === undefined || idle.state === 'Printing';
  return prints || moves || pause?.is_paused === true || card?.is_active === true ? 'busy' : 'idle';
}

async function reloadKlipper() {
  const state = await printerState();
  if (state !== 'idle') return state;
  // Its answer may be lost: Klipper drops the socket that it came by.
  void ask('printer.restart').catch(() => {});
  await Promise.race([isGone.promise, wait(GONE_MS)]);
  for (const until = Date.now() + SETTLE_MS; ;) {
    const now = await klippyState();
    if ((now !== 'startup' && now !== 'disconnected') || Date.now() > until) return now;
    await wait(500);
  }
}

const QUESTIONS = { state: printerState, klippy: klippyState, 'reload-klipper': reloadKlipper };
if (!(verb in QUESTIONS)) fail(`no such question: ${verb}`);
const answer = await QUESTIONS[verb]();
socket.removeAllListeners('close');
socket.destroy();
process.stdout.write(`${answer}\n`);
process.exit(0);

function fail(reason) {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}
