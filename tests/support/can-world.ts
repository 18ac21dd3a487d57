// A CAN bus with nodes that also talk: Katapult's blocks and Klipper's messages behind the admin frames.
import { OctopusError } from '../../src/errors.ts';
import type { CanBus, CanFrame, CanHost, CanTrouble } from '../../src/ports/can.ts';
import { CanAdmin, type CanProgram } from '../../src/virtual/can-admin.ts';
import type { VirtualClock } from '../../src/virtual/clock.ts';
import { forgeDictionary } from '../../src/virtual/forge-dictionary.ts';
import { KlipperMcu } from '../../src/virtual/klipper-mcu.ts';
import { KatapultPeer, type PeerOptions } from './katapult-peer.ts';

export interface WorldNode extends PeerOptions {
  readonly uuid: string;
  readonly runs: CanProgram;
  readonly nodeId?: number;
  readonly hasKatapult?: boolean;
  readonly klipper?: string;
  /** From the reset to the first answer. */
  readonly rebootMs?: number;
  readonly answerAfterMs?: number;
  /** Frames with these numbers, counted from 0, do not reach it. */
  readonly misses?: (n: number, frame: CanFrame) => boolean;
}

const FRAME_MS = 0.13;

export class CanWorld implements CanHost {
  readonly nodes: readonly FakeNode[];
  readonly sent: string[] = [];
  readonly #clock: VirtualClock;
  readonly #buses = new Set<FakeBus>();

  constructor(clock: VirtualClock, nodes: readonly WorldNode[]) {
    this.#clock = clock;
    this.nodes = nodes.map((node) => new FakeNode(clock, node, (frame) => this.#toHost(frame)));
  }

  get openBuses(): number {
    return this.#buses.size;
  }

  async open(interfaceName: string): Promise<CanBus> {
    if (interfaceName !== 'can0') throw new OctopusError('no-hardware', 'absent', { advice: '' });
    const bus = new FakeBus(
      async (frame) => {
        await this.#clock.sleep(FRAME_MS);
        this.sent.push(`${frame.id.toString(16)}#${Buffer.from(frame.data).toString('hex')}`);
        for (const node of this.nodes) node.receive(frame);
      },
      () => this.#buses.delete(bus),
    );
    this.#buses.add(bus);
    return bus;
  }

  trouble(trouble: CanTrouble): void {
    for (const bus of this.#buses) bus.tell(trouble);
  }

  #toHost(frame: CanFrame): void {
    for (const bus of this.#buses) bus.hear(frame);
  }
}

class FakeNode {
  readonly admin: CanAdmin;
  readonly peer: KatapultPeer;
  readonly #clock: VirtualClock;
  readonly #options: WorldNode;
  readonly #say: (frame: CanFrame) => void;
  #mcu: KlipperMcu;
  #isUp = true;
  #frames = 0;
  #busyUntil = 0;

  constructor(clock: VirtualClock, options: WorldNode, say: (frame: CanFrame) => void) {
    [this.#clock, this.#options, this.#say] = [clock, options, say];
    this.admin = new CanAdmin(options.uuid, {
      reboot: () => {
        if (options.hasKatapult !== false) this.#restartAs('katapult');
      },
      conflict: () => {},
    });
    this.admin.start(options.runs);
    if (options.nodeId !== undefined) this.admin.assign(options.nodeId);
    this.peer = new KatapultPeer(options);
    this.#mcu = this.#newMcu();
  }

  receive(frame: CanFrame): void {
    if (!this.#isUp || this.#options.misses?.(this.#frames++, frame) === true) return;
    const answer = this.admin.receive(frame);
    if (answer !== undefined) this.#later(this.#options.answerAfterMs ?? 0.1, () => this.#say(answer));
    if (frame.id !== this.admin.dataId) return;
    if (this.admin.program === 'klipper') this.#mcu.receive(frame.data);
    else for (const bytes of this.peer.receive(frame.data)) this.#send(bytes);
    // src/flashcmd.c, complete_task.
    if (this.admin.program === 'katapult' && this.peer.isBooted)
      this.#later(100, () => this.#restartAs('klipper'));
  }

  #send(bytes: Uint8Array): void {
    const id = (this.admin.dataId ?? 0) + 1;
    const now = this.#clock.now();
    for (let at = 0; at < bytes.length; at += 8) {
      const frame = { id, data: bytes.slice(at, at + 8) };
      this.#busyUntil = Math.max(this.#busyUntil, now) + FRAME_MS;
      this.#later(this.#busyUntil - now, () => this.#say(frame));
    }
  }

  #restartAs(program: CanProgram): void {
    this.#isUp = false;
    this.#later(this.#options.rebootMs ?? 30, () => {
      this.admin.start(program);
      this.#isUp = true;
      if (program === 'klipper') this.#mcu = this.#newMcu();
    });
  }

  #newMcu(): KlipperMcu {
    const dictionary = forgeDictionary({
      mcu: 'stm32f446xx',
      version: this.#options.klipper ?? 'v0.13.0-1-gabcdef0',
      transport: 'can',
      canFrequency: 1_000_000,
      seed: 1,
    });
    return new KlipperMcu(
      dictionary,
      () => this.#clock.now(),
      (block) => this.#send(block),
    );
  }

  #later(ms: number, action: () => void): void {
    void this.#clock.sleep(ms).then(action);
  }
}

class FakeBus implements CanBus {
  readonly #onSend: (frame: CanFrame) => Promise<void>;
  readonly #onClose: () => void;
  readonly #frames = new Set<(frame: CanFrame) => void>();
  readonly #troubles = new Set<(trouble: CanTrouble) => void>();
  #isLost = false;

  constructor(onSend: (frame: CanFrame) => Promise<void>, onClose: () => void) {
    [this.#onSend, this.#onClose] = [onSend, onClose];
  }

  async send(frame: CanFrame): Promise<'queued' | 'full'> {
    if (this.#isLost) throw new OctopusError('no-device', 'gone', { advice: '' });
    await this.#onSend(frame);
    return 'queued';
  }
  onFrame(listener: (frame: CanFrame) => void) {
    this.#frames.add(listener);
    return () => this.#frames.delete(listener);
  }
  onTrouble(listener: (trouble: CanTrouble) => void) {
    this.#troubles.add(listener);
    return () => this.#troubles.delete(listener);
  }
  async close(): Promise<void> {
    this.#onClose();
  }
  hear(frame: CanFrame): void {
    for (const listener of [...this.#frames]) listener(frame);
  }
  tell(trouble: CanTrouble): void {
    this.#isLost ||= trouble === 'gone' || trouble === 'down';
    for (const listener of [...this.#troubles]) listener(trouble);
  }
}
