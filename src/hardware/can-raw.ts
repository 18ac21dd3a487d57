// Hardware, port CanHost: a raw CAN socket of our own. The package socketcan lost 2722 of 3000 frames of a burst and
// says of a failed send only that it failed; this one asks for a larger buffer and knows errno.
import { closeSync, readSync, writeSync } from 'node:fs';
import { OctopusError } from '../errors.ts';
import type { CanBus, CanFrame, CanHost, CanTrouble } from '../ports/can.ts';
import { checkFrame, isLost, requireUp } from './can-interface.ts';
import * as uapi from './can-uapi.ts';
import type { Libc, Watch } from './libc.ts';
import { Listeners } from './listeners.ts';
import { errnoOf, textOf, usedAfterClose } from './system-error.ts';

/** Some 4000 frames as the kernel counts them, half a second of a full bus at 1 Mbit/s: longer than any garbage collection. */
const RECEIVE_BUFFER_BYTES = 2 * 1024 * 1024;

export class RawCanHost implements CanHost {
  readonly #libc: Libc;
  readonly #net: string | undefined;

  constructor(libc: Libc, net?: string) {
    [this.#libc, this.#net] = [libc, net];
  }

  async open(interfaceName: string): Promise<CanBus> {
    const index = await requireUp(interfaceName, this.#net);
    const fd = this.#socket(interfaceName);
    try {
      this.#libc.setsockopt(fd, uapi.SOL_CAN_RAW, uapi.CAN_RAW_FILTER, uapi.encodeFilter());
      this.#libc.setsockopt(fd, uapi.SOL_CAN_RAW, uapi.CAN_RAW_ERR_FILTER, uapi.encodeErrorFilter());
      this.#enlarge(fd);
      this.#libc.bind(fd, uapi.encodeAddress(index));
      return new RawCanBus(this.#libc, interfaceName, fd);
    } catch (error) {
      closeSync(fd);
      // It went between the look and the socket.
      if (errnoOf(error) === 'ENODEV') await requireUp(interfaceName, this.#net);
      throw refused(interfaceName, error);
    }
  }

  #socket(interfaceName: string): number {
    try {
      return this.#libc.socket(uapi.AF_CAN, uapi.SOCK_RAW_NONBLOCK, uapi.CAN_RAW);
    } catch (error) {
      throw refused(interfaceName, error);
    }
  }

  /** Beyond the system's limit where this user may go there, else up to it. */
  #enlarge(fd: number): void {
    const size = uapi.encodeInt(RECEIVE_BUFFER_BYTES);
    try {
      this.#libc.setsockopt(fd, uapi.SOL_SOCKET, uapi.SO_RCVBUFFORCE, size);
    } catch {
      this.#libc.setsockopt(fd, uapi.SOL_SOCKET, uapi.SO_RCVBUF, size);
    }
  }
}

function refused(name: string, error: unknown): OctopusError {
  const isUnknown = ['EAFNOSUPPORT', 'EPROTONOSUPPORT'].includes(errnoOf(error) ?? '');
  return new OctopusError('no-hardware', `${name} cannot be opened: ${textOf(error)}`, {
    place: name,
    advice: isUnknown
      ? 'The kernel has no CAN sockets: sudo modprobe can_raw.'
      : 'Look at what the kernel says: sudo dmesg.',
    cause: error,
  });
}

class RawCanBus implements CanBus {
  readonly #name: string;
  readonly #fd: number;
  readonly #watch: Watch;
  readonly #frames = new Listeners<CanFrame>();
  readonly #troubles = new Listeners<CanTrouble>();
  readonly #buffer = new Uint8Array(uapi.FRAME_BYTES);
  #isClosed = false;
  #lost: 'gone' | 'down' | undefined;

  constructor(libc: Libc, name: string, fd: number) {
    [this.#name, this.#fd] = [name, fd];
    this.#watch = libc.watch(fd, { readable: true }, () => this.#drain());
  }

  async send(frame: CanFrame): Promise<'queued' | 'full'> {
    if (this.#isClosed) throw usedAfterClose('a CAN bus');
    checkFrame(frame);
    // The socket tells of an interface that went down once, to whoever reads or writes next.
    if (this.#lost !== undefined) throw isLost(this.#name, this.#lost);
    try {
      writeSync(this.#fd, uapi.encodeFrame(frame));
      return 'queued';
    } catch (error) {
      if (['ENOBUFS', 'EAGAIN'].includes(errnoOf(error) ?? '')) return 'full';
      throw this.#end(error);
    }
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
    this.#watch.stop();
    closeSync(this.#fd);
  }

  #drain(): void {
    while (!this.#isClosed && this.#lost === undefined) {
      try {
        if (readSync(this.#fd, this.#buffer) !== uapi.FRAME_BYTES) return;
      } catch (error) {
        if (errnoOf(error) !== 'EAGAIN') this.#end(error);
        return;
      }
      const seen = uapi.decodeFrame(this.#buffer);
      if (typeof seen === 'string') this.#troubles.tell(seen);
      else if (seen !== undefined) this.#frames.tell(seen);
    }
  }

  /** ENODEV: unregistered. ENXIO: the socket knows no interface any more. Everything else, ENETDOWN first: down. */
  #end(error: unknown): OctopusError {
    const why = ['ENODEV', 'ENXIO'].includes(errnoOf(error) ?? '') ? 'gone' : 'down';
    if (this.#lost === undefined) {
      this.#lost = why;
      this.#watch.stop();
      this.#troubles.tell(why);
    }
    return isLost(this.#name, this.#lost);
  }
}
