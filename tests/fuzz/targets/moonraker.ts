// Fuzz: what comes from Moonraker, in any pieces: requests of its clients, answers to our own questions, notifications, and what
// is none of these. Each request is answered once, with its own id; each question of ours ends; nothing else happens.
import { MoonrakerRefusal } from '../../../src/moonraker/rpc-errors.ts';
import { Deframer, frame } from '../../../src/moonraker/framing.ts';
import { Serving, type MethodTable, type Params } from '../../../src/moonraker/serving.ts';
import { Session } from '../../../src/moonraker/session.ts';
import { checkLength, UNIX_LIMIT_BYTES } from '../../../src/moonraker/wire.ts';
import { VirtualClock } from '../../../src/virtual/clock.ts';
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
import { holds, refusalCode, target, type Fate } from '../target.ts';

interface Talk {
  readonly pieces: readonly Uint8Array[];
  /** How many questions of ours are open. */
  readonly asked: number;
}

const IDS: readonly Json[] = [1, 2, 7, 139_696_088_166_560, 'a', '', 0, -1, 0.5, null, true, [], {}];
const NOTES: readonly Json[] = [
  { jsonrpc: '2.0', method: 'notify_klippy_ready' },
  { jsonrpc: '2.0', method: 'notify_proc_stat_update', params: [{ moonraker_stats: { cpu_usage: 1.5 } }] },
  { jsonrpc: '2.0', method: 'octopus.flash', params: { board: 'x' } },
];

export const moonraker = target<Talk>({
  name: 'moonraker',
  show: ({ pieces }) => join(...pieces),
  input: (random) => {
    const texts = Array.from({ length: random.few(4) }, () => frame(messageText(random)));
    const stream = random.oneIn(16) ? mutateBytes(random, join(...texts), { most: 2 }) : join(...texts);
    return { pieces: cut(random, join(stream, Uint8Array.of(3))), asked: random.below(4) };
  },
  check: async ({ pieces, asked }): Promise<Fate> => {
    const { serving } = await surroundings();
    const clock = new VirtualClock();
    const sent: unknown[] = [];
    let notes = 0;
    // The last message is empty.
    let odd = 0;
    const session = new Session({
      clock,
      place: 'here',
      serving,
      onNotification: (method, params) => {
        notes += 1;
        holds(typeof method === 'string', 'a notification without a name');
        void params;
      },
      onTrouble: (text) => {
        odd += 1;
        holds(text.length < 1000, `a word of ${text.length} letters for the log`);
      },
    });
    session.attach({
      send: (text) => {
        checkLength(Buffer.byteLength(text), UNIX_LIMIT_BYTES);
        sent.push(JSON.parse(text));
      },
      close: () => {},
    });
    const questions = Array.from({ length: asked }, () => session.request('server.info', undefined, 1000));
    const ends = Promise.allSettled(questions);
    const deframer = new Deframer(UNIX_LIMIT_BYTES);
    const expected: unknown[] = [];
    const maybe: unknown[] = [];
    for (const piece of pieces)
      for (const found of deframer.push(Buffer.from(piece))) {
        holds(found.kind === 'message', 'a short message is too long');
        // What is too deep is refused unread, and answered only where its first bytes tell by whom it was sent.
        if (depthOf(found.text) <= MOST_DEPTH) expected.push(...idsIn(found.text));
        else maybe.push(Number(/"id":\s*(\d+)/.exec(found.text)?.[1]));
        session.message(found.text);
      }
    const answers = () => sent.filter((one) => isObject(one) && one['method'] === undefined);
    const ids = () => answers().map((one) => (isObject(one) ? one['id'] : undefined));
    for (let turns = 0; turns < 2000 && without(expected, ids()).length > 0; turns++)
      await new Promise((resolve) => setImmediate(resolve));
    const kinds = new Set(answers().map(checkAnswer));
    holds(without(expected, ids()).length === 0, `answered ${show(ids())}, asked ${show(expected)}`);
    const all = [...expected, ...maybe];
    holds(without(ids(), all).length === 0, `answered ${show(ids())}, asked ${show(all)}`);
    session.close('the end');
    for (const end of await ends)
      if (end.status === 'rejected' && !isRefusal(end.reason))
        refusalCode(end.reason, ['printer-unreachable']);
    clock.stop();
    return (
      KINDS.find((kind) => kinds.has(kind)) ?? (notes > 0 ? 'notification' : odd > 1 ? 'odd' : 'answer to us')
    );
  },
  fates: ['answered', 'refused', 'notification', 'odd', 'answer to us'],
});

/** As Moonraker, and whoever asks through it, may write it. */
function messageText(random: Random): string {
  switch (random.below(8)) {
    case 0:
      return mutateJsonText(random, random.pick(NOTES));
    case 1:
    case 2: {
      const id = random.oneIn(3) ? random.pick(IDS) : random.between(1, 3);
      const outcome: Json = random.oneIn(2)
        ? { result: { klippy_connected: true, klippy_state: 'ready' } }
        : { error: { code: 503, message: 'Klippy Host not connected' } };
      return mutateJsonText(random, { jsonrpc: '2.0', id, ...(outcome as object) });
    }
    case 3: {
      // Several in one: JSON-RPC 2.0, section 6.
      return mutateJsonText(random, [requestOf(random), random.pick(NOTES), requestOf(random)]);
    }
    case 4: {
      // Sound but for its parameters.
      const [method, params] = random.pick(CALLS);
      return JSON.stringify({
        jsonrpc: '2.0',
        id: random.pick(IDS),
        method,
        params: mutateJson(random, params),
      });
    }
    default:
      return mutateJsonText(random, requestOf(random));
  }
}

function requestOf(random: Random): Json {
  const [method, params] = random.pick(CALLS);
  const name = random.oneIn(8) ? random.pick(METHOD_NAMES) : method;
  // Moonraker writes the method first (moonraker/common.py).
  return { jsonrpc: '2.0', method: name, id: random.pick(IDS), params };
}

/** Of what must be answered, by JSON-RPC 2.0: a request has a method and an id, and neither result nor error. */
function idsIn(text: string): unknown[] {
  let whole: unknown;
  try {
    whole = JSON.parse(text);
  } catch {
    return [];
  }
  return (Array.isArray(whole) ? whole : [whole]).flatMap((one: unknown) => {
    if (!isObject(one) || one['jsonrpc'] !== '2.0' || typeof one['method'] !== 'string') return [];
    const { id, result, error } = one;
    return id === undefined || id === null || result !== undefined || error !== undefined ? [] : [id];
  });
}

/** JSON-RPC says nothing of depth; JavaScript walks some thousand levels. */
const MOST_DEPTH = 64;

/** Each of `taken` takes one that is its like. */
function without(ids: readonly unknown[], taken: readonly unknown[]): unknown[] {
  const left = taken.map(show);
  return ids.filter((id) => {
    const at = left.indexOf(show(id));
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

const isRefusal = (error: unknown) => error instanceof MoonrakerRefusal;

let opened: Promise<{ readonly serving: Serving }> | undefined;
function surroundings(): Promise<{ readonly serving: Serving }> {
  opened ??= openBusyDesk().then(({ desk }) => {
    const origin = { via: 'request', printer: 'printer' } as const;
    const table: MethodTable = new Map(
      METHOD_NAMES.map((name) => [name, (params: Params) => desk.call(name, params, origin)]),
    );
    return { serving: new Serving(table) };
  });
  return opened;
}
