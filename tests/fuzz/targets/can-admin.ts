// Fuzz: the admin frames of a CAN bus. Real answers, spoilt, and whatever else a bus carries, at any time: a question ends when
// it should, and whoever is named has answered.
import { OctopusError } from '../../../src/errors.ts';
import { takeCensus } from '../../../src/flash/bus-census.ts';
import { CanAdmin } from '../../../src/flash/can-admin.ts';
import { askUnassigned } from '../../../src/flash/canbus-query.ts';
import type { CanBus, CanFrame, CanTrouble } from '../../../src/ports/can.ts';
import type { PrinterCanNode } from '../../../src/ports/printer.ts';
import { readAnswer } from '../../../src/protocol/klipper-can.ts';
import { VirtualClock } from '../../../src/virtual/clock.ts';
import { mutateBytes } from '../bytes.ts';
import type { Random } from '../random.ts';
import { holds, refusalCode, target, type Fate } from '../target.ts';

interface Heard {
  readonly frame: CanFrame;
  readonly atMs: number;
}

interface Bus {
  readonly ask: 'census' | 'node' | 'alone';
  readonly heard: readonly Heard[];
  readonly trouble: { readonly kind: CanTrouble; readonly atMs: number } | undefined;
  readonly known: readonly PrinterCanNode[];
}

const UUIDS = ['0011223344ff', 'ffffffffffff', '0a1b2c3d4e5f'] as const;
const OURS = UUIDS[0];
const TROUBLES: readonly CanTrouble[] = ['no-acknowledge', 'disturbed', 'bus-off', 'gone', 'down'];
/** What is promised is a second. */
const CENSUS_MS = 1000;
const ASK_MS = 50;

export const canAdmin = target<Bus>({
  name: 'can-admin',
  show: ({ heard }) =>
    Buffer.from(
      heard.map(({ frame, atMs }) => `${atMs} ${frame.id.toString(16)}#${hexOf(frame.data)}`).join('\n'),
    ),
  input: (random) => ({
    ask: random.pick(['census', 'node', 'alone']),
    heard: Array.from({ length: random.below(12) }, () => ({
      frame: frameOf(random),
      atMs: random.below(random.pick([5, 60, 1200])),
    })),
    trouble: random.oneIn(10) ? { kind: random.pick(TROUBLES), atMs: random.below(300) } : undefined,
    known: random.oneIn(2)
      ? []
      : [
          {
            section: 'mcu ebb',
            uuid: random.pick(UUIDS),
            interfaceName: random.pick(['can0', 'can1']),
            version: random.pick([null, 'v0.12']),
          },
        ],
  }),
  check: async (bus): Promise<Fate> => {
    const clock = new VirtualClock();
    const said = new Map<string, string>();
    for (const { frame } of bus.heard) {
      const expected = readTwice(frame);
      const read = readAnswer(frame);
      holds(
        JSON.stringify(read) === JSON.stringify(expected),
        `${JSON.stringify(read)} of ${frame.id.toString(16)}#${hexOf(frame.data)}`,
      );
      if (typeof expected !== 'string') said.set(expected.uuid, expected.application);
    }
    try {
      return await carryOut(bus, clock, said);
    } catch (error) {
      return refusalCode(error, ['no-device', 'device-gone', 'two-boards-alike']);
    } finally {
      clock.stop();
    }
  },
  fates: ['a census', 'an answer', 'silence', 'device-gone', 'two-boards-alike'],
});

async function carryOut(
  { ask, heard, trouble, known }: Bus,
  clock: VirtualClock,
  said: ReadonlyMap<string, string>,
): Promise<Fate> {
  const can = { open: async () => openBus(clock, heard, trouble) };
  const kit = { can, clock };
  if (ask === 'census') {
    const answers = await askUnassigned(kit, 'can0');
    holds(clock.now() <= CENSUS_MS, `it took ${clock.now()} ms`);
    for (const { uuid, times } of answers.nodes) holds(said.has(uuid) && times > 0, `${uuid} never answered`);
    const { nodes } = takeCensus('can0', answers, known, []);
    for (const { uuid, assigned } of nodes)
      holds(said.has(uuid) || (assigned && known.some((node) => node.uuid === uuid)), `${uuid} is nowhere`);
    return 'a census';
  }
  const bus = openBus(clock, heard, trouble);
  const node = new CanAdmin(kit, bus, { interfaceName: 'can0', uuid: OURS });
  const answer = ask === 'alone' ? await node.askAlone(ASK_MS) : await node.ask(ASK_MS);
  node.stop();
  holds(clock.now() <= 2 * ASK_MS + 1, `it took ${clock.now()} ms`);
  if (answer === undefined) return 'silence';
  const isSaid = heard.some(({ frame }) => {
    const one = readTwice(frame);
    return typeof one !== 'string' && one.uuid === OURS && one.application === answer;
  });
  holds(isSaid, `nobody answered as ${answer}`);
  return 'an answer';
}

/** Frames come when their time has come, to whoever listens then. */
function openBus(clock: VirtualClock, heard: readonly Heard[], trouble: Bus['trouble']): CanBus {
  const frames = new Set<(frame: CanFrame) => void>();
  const troubles = new Set<(trouble: CanTrouble) => void>();
  let isLost = false;
  for (const { frame, atMs } of heard)
    clock.after(atMs, () => {
      for (const listener of frames) listener(frame);
    });
  if (trouble !== undefined)
    clock.after(trouble.atMs, () => {
      isLost = trouble.kind === 'gone' || trouble.kind === 'down';
      for (const listener of troubles) listener(trouble.kind);
    });
  return {
    send: async () => {
      if (isLost) throw new OctopusError('no-device', 'can0 is gone', { advice: 'Look at its cable.' });
      return 'queued';
    },
    onFrame: (listener) => {
      frames.add(listener);
      return () => frames.delete(listener);
    },
    onTrouble: (listener) => {
      troubles.add(listener);
      return () => troubles.delete(listener);
    },
    close: async () => frames.clear(),
  };
}

function frameOf(random: Random): CanFrame {
  const uuid = Buffer.from(random.oneIn(3) ? random.pick(UUIDS) : OURS, 'hex');
  const real = random.pick([
    Uint8Array.of(0x20, ...uuid, 0x01),
    Uint8Array.of(0x20, ...uuid, 0x11),
    Uint8Array.of(0x20, ...uuid),
    Uint8Array.of(0x00),
  ]);
  const data = random.oneIn(2) ? real : mutateBytes(random, real, { most: 2 }).slice(0, 8);
  const id = random.oneIn(4) ? random.pick([0x3f0, 0x101, 0x109, 0x000, 0x7ff]) : 0x3f1;
  return { id, data };
}

/** docs/CANBUS_protocol.md, "RESP_NEED_NODEID", and the byte behind it by src/generic/canserial.c of both. */
function readTwice({ id, data }: CanFrame): ReturnType<typeof readAnswer> {
  if (id !== 0x3f1) return 'foreign';
  if ((data.length !== 7 && data.length !== 8) || data[0] !== 0x20) return 'malformed';
  const uuid = hexOf(data.slice(1, 7));
  if (data.length === 7 || data[7] === 0x01) return { uuid, application: 'klipper' };
  return { uuid, application: data[7] === 0x11 ? 'katapult' : 'unknown' };
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
