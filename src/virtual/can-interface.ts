// Virtual bench, CAN: a network interface and the sockets that programs have on it, as Linux's CAN_RAW has them.

import { OctopusError } from '../errors.ts';
import type { CanBus, CanFrame, CanTrouble } from '../ports/can.ts';
import type { Unsubscribe } from '../ports/usb.ts';
import type { CanDevice, DeviceEvents } from './can-device.ts';
import { after, type BenchClock } from './clock.ts';

const MAX_ID = 0x7ff;
const MAX_BYTES = 8;

export class CanInterface {
  readonly name: string;
  readonly device: CanDevice;
  readonly #clock: BenchClock;
  readonly #rxMs: number;
  readonly #sockets = new Set<CanSocket>();
  /** Whose frame it is: everybody else on this host hears it when it is sent (CAN_RAW_LOOPBACK). */
  readonly #senders = new WeakMap<CanFrame, CanSocket>();
  ended: 'gone' | 'down' | undefined;

  /** @param rxMs from the wire to the program */
  constructor(
    name: string,
    clock: BenchClock,
    rxMs: number,
    makeDevice: (events: DeviceEvents) => CanDevice,
  ) {
    this.name = name;
    this.#clock = clock;
    this.#rxMs = rxMs;
    this.device = makeDevice({
      frame: (frame) => this.#hear(frame),
      echo: (frame) => this.#hear(frame),
      trouble: (trouble) => this.#tell(trouble),
    });
  }

  openSocket(): CanBus {
    const socket = new CanSocket(this, (closed) => this.#sockets.delete(closed));
    this.#sockets.add(socket);
    return socket;
  }

  send(frame: CanFrame, socket: CanSocket): 'queued' | 'full' {
    if (this.ended !== undefined) throw noDevice(this.name, this.ended);
    this.#senders.set(frame, socket);
    return this.device.send(frame) ? 'queued' : 'full';
  }

  /** The device left, or somebody took the interface down. */
  end(why: 'gone' | 'down'): void {
    if (this.ended !== undefined) return;
    this.ended = why;
    this.device.leave();
    this.#tell(why);
  }

  #hear(frame: CanFrame): void {
    const sender = this.#senders.get(frame);
    after(this.#clock, this.#rxMs, () => {
      if (this.ended !== undefined) return;
      for (const socket of this.#sockets) if (socket !== sender) socket.hear(frame);
    });
  }

  #tell(trouble: CanTrouble): void {
    for (const socket of this.#sockets) socket.tell(trouble);
  }
}

class CanSocket implements CanBus {
  readonly #interface: CanInterface;
  readonly #onClose: (socket: CanSocket) => void;
  readonly #frameListeners = new Set<(frame: CanFrame) => void>();
  readonly #troubleListeners = new Set<(trouble: CanTrouble) => void>();
  #closed = false;

  constructor(owner: CanInterface, onClose: (socket: CanSocket) => void) {
    this.#interface = owner;
    this.#onClose = onClose;
  }

  async send({ id, data }: CanFrame): Promise<'queued' | 'full'> {
    const frame = { id, data: Uint8Array.from(data) };
    await Promise.resolve();
    if (this.#closed) throw fault('a CAN bus was used after it was closed');
    if (!Number.isInteger(id) || id < 0 || id > MAX_ID || data.length > MAX_BYTES)
      throw fault(`no CAN frame has the id ${id} and ${data.length} bytes`);
    return this.#interface.send(frame, this);
  }

  onFrame(listener: (frame: CanFrame) => void): Unsubscribe {
    this.#frameListeners.add(listener);
    return () => this.#frameListeners.delete(listener);
  }

  onTrouble(listener: (trouble: CanTrouble) => void): Unsubscribe {
    this.#troubleListeners.add(listener);
    return () => this.#troubleListeners.delete(listener);
  }

  async close(): Promise<void> {
    await Promise.resolve();
    this.#closed = true;
    this.#frameListeners.clear();
    this.#troubleListeners.clear();
    this.#onClose(this);
  }

  hear({ id, data }: CanFrame): void {
    for (const listener of this.#frameListeners) listener({ id, data: Uint8Array.from(data) });
  }

  tell(trouble: CanTrouble): void {
    for (const listener of this.#troubleListeners) listener(trouble);
  }
}

function noDevice(name: string, why: 'gone' | 'down'): OctopusError {
  return new OctopusError('no-device', `the CAN interface ${name} is ${why}`, {
    place: name,
    advice:
      'A bridge takes its interface with it when it is reset: look at its power and cable, then try again.',
  });
}

function fault(message: string): OctopusError {
  return new OctopusError('internal', message, {
    advice: 'This is a fault of octopus-flasher: please report it.',
  });
}
