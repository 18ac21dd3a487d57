// Fuzz: the daemon's own socket, over a real one: lines of any bytes and of any JSON. Each is answered once, with its own id, by
// what it asked for or by an error that tells; and the next one is answered as if nothing had been.
import { connect, type Socket } from 'node:net';
import { join as pathOf } from 'node:path';
import { LocalSocket } from '../../../src/daemon/local-socket.ts';
import { systemClock } from '../../../src/hardware/clock.ts';
import { Deframer, frame } from '../../../src/moonraker/framing.ts';
import {
  CALLS,
  KINDS,
  METHOD_NAMES,
  checkAnswer,
  depthOf,
  isObject,
  openBusyDesk,
  show,
} from '../busy-desk.ts';
import { cut, join, mutateBytes } from '../bytes.ts';
import { mutateJson, mutateJsonText, type Json } from '../json.ts';
import type { Random } from '../random.ts';
import { holds, target, type Fate } from '../target.ts';

interface Lines {
  readonly pieces: readonly Uint8Array[];
}

const IDS: readonly Json[] = [1, 2, 'a', 0, -1, null, true, [], {}, 2 ** 53];

export const localSocket = target<Lines>({
  name: 'local-socket',
  show: ({ pieces }) => join(...pieces),
  input: (random) => {
    const lines = Array.from({ length: random.few(4) }, () => frame(lineText(random)));
    const stream = random.oneIn(8) ? mutateBytes(random, join(...lines), { most: 2 }) : join(...lines);
    // The end of the last line, so that the next input begins anew.
    return { pieces: cut(random, join(stream, Uint8Array.of(3))) };
  },
  check: async ({ pieces }): Promise<Fate> => {
    const client = await connected();
    const whole = join(...pieces);
    const expected = linesIn(whole).map(idOf);
    const answers = client.next(expected.length);
    for (const piece of pieces) client.socket.write(piece);
    const kinds = new Set<(typeof KINDS)[number]>();
    const ids: unknown[] = [];
    for (const text of await answers) {
      const answer: unknown = JSON.parse(text);
      kinds.add(checkAnswer(answer));
      ids.push(isObject(answer) ? answer['id'] : undefined);
    }
    holds(sorted(ids) === sorted(expected), `answered ${show(ids)}, asked ${show(expected)}`);
    return KINDS.find((kind) => kinds.has(kind)) ?? 'nothing';
  },
  fates: ['answered', 'refused', 'no request'],
});

function lineText(random: Random): string {
  const [method, params] = random.pick(CALLS);
  const name = random.oneIn(8) ? random.pick(METHOD_NAMES) : method;
  const call: Json = random.oneIn(6) ? { method: name, params } : params;
  const request: Json = {
    jsonrpc: '2.0',
    id: random.pick(IDS),
    method: call === params ? name : 'octopus.as_remote',
    params: random.oneIn(2) ? call : mutateJson(random, call),
  };
  return random.oneIn(2) ? JSON.stringify(request) : mutateJsonText(random, request);
}

function linesIn(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let from = 0;
  for (const [at, byte] of bytes.entries()) {
    if (byte !== 3) continue;
    lines.push(bytes.subarray(from, at));
    from = at + 1;
  }
  return lines;
}

/** With which it must be answered: its own, or null where it is no request. */
function idOf(line: Uint8Array): unknown {
  let request: unknown;
  try {
    request = JSON.parse(Buffer.from(line).toString('utf8'));
  } catch {
    return null;
  }
  if (
    line.length > 1024 * 1024 ||
    depthOf(Buffer.from(line).toString('utf8')) > 64 ||
    !isObject(request) ||
    typeof request['method'] !== 'string'
  )
    return null;
  const { id } = request;
  return typeof id === 'string' || typeof id === 'number' ? id : null;
}

const sorted = (ids: readonly unknown[]) =>
  ids
    .map((id) => show(id))
    .sort()
    .join(' ');

/** A client that takes the answers as they come. */
class Client {
  readonly socket: Socket;
  readonly #texts: string[] = [];
  #wanted = 0;
  #resolve: (texts: string[]) => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    const deframer = new Deframer(64 * 1024 * 1024);
    socket.on('data', (chunk: Buffer) => {
      for (const found of deframer.push(chunk)) if (found.kind === 'message') this.#texts.push(found.text);
      if (this.#texts.length >= this.#wanted) this.#resolve(this.#texts.splice(0));
    });
    socket.on('close', () => this.#resolve(['"the daemon closed the connection"']));
  }

  /** So many answers, and whatever comes beside them. */
  next(count: number): Promise<string[]> {
    this.#wanted = count;
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }
}

let opened: Promise<Client> | undefined;
function connected(): Promise<Client> {
  opened ??= (async () => {
    const { desk, folder } = await openBusyDesk();
    const path = pathOf(folder, 'fuzz.sock');
    // A thread may not set it, and here nobody else looks.
    process.umask = () => 0;
    await LocalSocket.open(path, desk, systemClock);
    const socket = connect({ path });
    await new Promise((resolve) => socket.once('connect', resolve));
    return new Client(socket);
  })();
  return opened;
}
