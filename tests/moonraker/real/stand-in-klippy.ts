// A program that stands where Klippy does: it serves Moonraker's socket and nothing else. What it says is in a file that
// a test writes (klippy.json), what it lived through in one that a test reads (klippy.log, JSON lines with the time).
// Run by supervisord: node stand-in-klippy.ts FOLDER
import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { KlippyLine, KlippySays } from './klippy-files.ts';

const [, , folder = ''] = process.argv;
const says = () => JSON.parse(readFileSync(join(folder, 'klippy.json'), 'utf8')) as KlippySays;
const tell = (line: Omit<KlippyLine, 'time'>) =>
  appendFileSync(join(folder, 'klippy.log'), `${JSON.stringify({ time: Date.now(), ...line })}\n`);

tell({ what: 'started' });
process.on('exit', () => tell({ what: 'ended' }));
process.on('SIGTERM', () => setTimeout(() => process.exit(0), says().stopMs));
let isStarting = true;

const state = () => (isStarting ? 'startup' : says().state);
const subscribers = new Map<Socket, object>();

/** As klippy/webhooks.py. Moonraker hears of a shutdown by the webhooks object; of nothing else unasked. */
const status = () => ({
  webhooks: { state: state(), state_message: says().message },
  ...says().objects,
});

type Params = Record<string, any>; // oxlint-disable-line typescript/no-explicit-any
const METHODS: Record<string, (params: Params, socket: Socket) => object> = {
  info: () => ({
    state: state(),
    state_message: says().message,
    hostname: 'stand-in',
    klipper_path: folder,
    python_path: process.execPath,
    process_id: process.pid,
    user_id: process.getuid?.(),
    group_id: process.getgid?.(),
    log_file: join(folder, 'klippy.log'),
    config_file: says().configFile ?? join(folder, 'printer.cfg'),
    software_version: 'v0.13.0-stand-in',
    cpu_info: '',
  }),
  list_endpoints: () => ({ endpoints: Object.keys(METHODS) }),
  'objects/list': () => ({ objects: Object.keys(status()) }),
  'objects/query': ({ objects }) => picked(objects),
  'objects/subscribe': ({ objects, response_template }, socket) => {
    subscribers.set(socket, response_template);
    return picked(objects);
  },
  'gcode/subscribe_output': () => ({}),
  'gcode/help': () => ({ RESPOND: 'Echo the message', M118: 'Echo' }),
  'gcode/script': ({ script }) => {
    tell({ what: 'script', script });
    return {};
  },
  register_remote_method: ({ remote_method }) => {
    tell({ what: 'remote-method', method: remote_method });
    return {};
  },
};

function picked(objects: Record<string, string[] | null>): object {
  const all: Record<string, object> = status();
  const wanted = Object.entries(objects).map(([name, fields]) => {
    const object = Object.entries(all[name] ?? {});
    return [
      name,
      Object.fromEntries(fields === null ? object : object.filter(([key]) => fields.includes(key))),
    ];
  });
  return { eventtime: process.uptime(), status: Object.fromEntries(wanted) };
}

const send = (socket: Socket, message: object) => socket.write(`${JSON.stringify(message)}\x03`);

function serve(socket: Socket): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('error', () => {});
  socket.on('close', () => subscribers.delete(socket));
  socket.on('data', (text: string) => {
    const parts = (rest + text).split('\x03');
    rest = parts.pop() ?? '';
    for (const part of parts) {
      const { id, method, params = {} } = JSON.parse(part);
      const answer = METHODS[method];
      const reply =
        answer === undefined
          ? {
              error: {
                error: 'WebRequestError',
                message: `webhooks: No registered callback for path '${method}'`,
              },
            }
          : { result: answer(params, socket) };
      if (id !== undefined) send(socket, { id, ...reply });
    }
  });
}

const socketPath = join(folder, 'klippy.sock');
rmSync(socketPath, { force: true });
createServer(serve).listen(socketPath);

setTimeout(() => {
  isStarting = false;
  tell({ what: 'state', state: state() });
}, says().startMs);
