// Hardware, port CanHost: the package socketcan, where koffi does not load. Its limits are its own: no larger buffer, so
// a burst loses frames silently; a send that fails gives no reason, so it is asked for in sysfs.
import { OctopusError } from '../errors.ts';
import type { CanBus, CanFrame, CanHost, CanTrouble } from '../ports/can.ts';
import { checkFrame, isLost, requireUp, stateOf } from './can-interface.ts';
import { decode } from './can-uapi.ts';
import { Listeners } from './listeners.ts';
import { REBUILD } from './optional.ts';
import { textOf, usedAfterClose } from './system-error.ts';

interface Message {
  readonly id: number;
  readonly data: Uint8Array;
  readonly ext?: boolean;
  readonly rtr?: boolean;
  readonly err?: boolean;
}

/** What is used of the package. */
export interface SocketcanChannel {
  addListener(event: 'onMessage', listener: (message: Message) => void): void;
  addListener(event: 'onStopped', listener: () => void): void;
  start(): void;
  /** Throws where the interface has gone; nothing else tells. */
  stop(): void;
  /** Less than 0 when it failed, for whatever reason. */
  send(message: {
    readonly id: number;
    readonly data: Buffer;
    readonly ext: false;
    readonly rtr: false;
  }): number;
}
export interface Socketcan {
  createRawChannel(name: string, timestamps?: boolean): SocketcanChannel;
}

const ERROR_FLAG = 0x2000_0000; // CAN_ERR_FLAG, which the package takes off

export class SocketcanHost implements CanHost {
  readonly #package: Socketcan | string;
  readonly #net: string | undefined;

  /** @param loaded the package, or why there is none */
  constructor(loaded: Socketcan | string, net?: string) {
    [this.#package, this.#net] = [loaded, net];
  }

  async open(interfaceName: string): Promise<CanBus> {
    await requireUp(interfaceName, this.#net);
    if (typeof this.#package === 'string') {
      throw new OctopusError('no-hardware', `CAN cannot be used: ${this.#package}`, {
        place: interfaceName,
        advice: REBUILD,
      });
    }
    try {
      const channel = this.#package.createRawChannel(interfaceName);
      return new SocketcanBus(interfaceName, channel, this.#net);
    } catch (error) {
      throw new OctopusError('no-hardware', `${interfaceName} cannot be opened: ${textOf(error)}`, {
        place: interfaceName,
        advice: 'Look at what the kernel says: sudo dmesg.',
        cause: error,
      });
    }
  }
}

class SocketcanBus implements CanBus {
  readonly #name: string;
  readonly #channel: SocketcanChannel;
  readonly #net: string | undefined;
  readonly #frames = new Listeners<CanFrame>();
  readonly #troubles = new Listeners<CanTrouble>();
  #isClosed = false;
  #lost: 'gone' | 'down' | undefined;

  constructor(name: string, channel: SocketcanChannel, net: string | undefined) {
    [this.#name, this.#channel, this.#net] = [name, channel, net];
    channel.addListener('onMessage', (message) => this.#hear(message));
    channel.addListener('onStopped', () => this.#end('gone'));
    channel.start();
  }

  async send(frame: CanFrame): Promise<'queued' | 'full'> {
    if (this.#isClosed) throw usedAfterClose('a CAN bus');
    checkFrame(frame);
    if (this.#lost !== undefined) throw isLost(this.#name, this.#lost);
    const { id, data } = frame;
    if (this.#channel.send({ id, data: Buffer.from(data), ext: false, rtr: false }) >= 0) return 'queued';
    const state = await stateOf(this.#name, this.#net);
    if (typeof state === 'object') return 'full';
    throw this.#end(state === 'down' ? 'down' : 'gone');
  }

  onFrame(listener: (frame: CanFrame) => void): () => void {
    return this.#frames.add(listener);
  }

  onTrouble(listener: (trouble: CanTrouble) => void): () => void {
    return this.#troubles.add(listener);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.#channel.stop();
    } catch {
      // It had ended by itself.
    }
  }

  #hear({ id, data, ext = false, rtr = false, err = false }: Message): void {
    if (this.#isClosed || ext || rtr) return;
    const seen = decode(err ? id | ERROR_FLAG : id, Uint8Array.from(data));
    if (typeof seen === 'string') this.#troubles.tell(seen);
    else if (seen !== undefined) this.#frames.tell(seen);
  }

  #end(why: 'gone' | 'down'): OctopusError {
    if (this.#lost === undefined && !this.#isClosed) {
      this.#lost = why;
      this.#troubles.tell(why);
    }
    return isLost(this.#name, this.#lost ?? why);
  }
}
