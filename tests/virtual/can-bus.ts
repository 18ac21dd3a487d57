// For the tests of CAN nodes: a program on the host that sends frames and hears what comes, in the words of candump.
import { afterEach } from '@jest/globals';
import type { CanBus, CanFrame } from '../../src/ports/can.ts';
import { createBench, type BenchOptions, type VirtualBench } from '../../src/virtual/bench.ts';
import type { CanNode, CanNodeOptions } from '../../src/virtual/can-node.ts';
import { crc16 } from './katapult-rig.ts';

/** `202#01881100f17c9903` */
export const text = ({ id, data }: CanFrame) => `${id.toString(16)}#${Buffer.from(data).toString('hex')}`;

export const frame = (written: string): CanFrame => {
  const [id = '', bytes = ''] = written.split('#');
  return { id: Number.parseInt(id, 16), data: Uint8Array.from(Buffer.from(bytes, 'hex')) };
};

export interface OnBus {
  readonly bench: VirtualBench;
  readonly bus: CanBus;
  readonly node: CanNode;
  /** What has come since last asked. */
  readonly heard: () => string[];
  /** Sends and hears what comes within `ms`. */
  readonly ask: (frames: readonly string[], ms?: number) => Promise<string[]>;
}

const benches: VirtualBench[] = [];
afterEach(() => {
  for (const bench of benches.splice(0)) bench.dispose();
});

/** Disposed of when the test has ended. */
export async function disposed(options: BenchOptions): Promise<VirtualBench> {
  const bench = await createBench(options);
  benches.push(bench);
  return bench;
}

/** @param nodes beside them hangs one with an id, so that somebody acknowledges */
export async function onBus(nodes: readonly CanNodeOptions[], options: BenchOptions = {}): Promise<OnBus> {
  const bench = await disposed({
    times: 'typical',
    ...options,
    can: { txQueueLength: 1000, ...options.can, nodes: [...nodes, { uuid: '990000000000', nodeId: 90 }] },
  });
  const bus = await bench.can.open('can0');
  const frames: string[] = [];
  bus.onFrame((one) => frames.push(text(one)));
  const heard = (): string[] => frames.splice(0);
  const [node] = bench.can.nodes;
  if (node === undefined) throw new Error('a bus has nodes');
  return {
    bench,
    bus,
    node,
    heard,
    ask: async (sent, ms = 20) => {
      heard();
      for (const one of sent) await bus.send(frame(one));
      await bench.clock.sleep(ms);
      return heard();
    },
  };
}

/** A message cut into frames of 8 bytes, as flashtool does. */
export function chopped(id: string, hexBytes: string): string[] {
  return (hexBytes.match(/.{1,16}/g) ?? []).map((piece) => `${id}#${piece}`);
}

/** The bytes of all frames with this id, one after the other. */
export function joined(frames: readonly string[], id: string): string {
  return frames
    .filter((one) => one.startsWith(`${id}#`))
    .map((one) => one.split('#')[1])
    .join('');
}

/** A message block of Klipper's host (docs/Protocol.md). */
export function klipperBlock(sequence: number, content: readonly number[]): string {
  const head = Uint8Array.of(content.length + 5, 0x10 | sequence, ...content);
  const crc = crc16(head);
  return Buffer.of(...head, crc >> 8, crc & 0xff, 0x7e).toString('hex');
}
