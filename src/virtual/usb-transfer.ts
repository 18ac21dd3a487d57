// Virtual bench, USB: control transfers of an opened DFU device, with time-outs, lost devices and planned faults.

import { OctopusError } from '../errors.ts';
import type { ControlSetup, UsbDeviceInfo, UsbDfuDevice } from '../ports/usb.ts';
import { after } from './clock.ts';
import type { Attachment } from './usb-attachment.ts';
import type { VirtualUsb } from './usb-bus.ts';
import type { SetupPacket } from './usb-function.ts';

/** DFU 1.1, table 3.2. */
const DFU_NAMES = ['detach', 'dnload', 'upload', 'getstatus', 'clrstatus', 'getstate', 'abort'] as const;

export class TransferCounter {
  total = 0;
  readonly #counts = new Map<string, number>();

  next(setup: SetupPacket): number {
    const name = requestName(setup);
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    return ++this.total;
  }

  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }
}

export class OpenedDfu implements UsbDfuDevice {
  readonly info: UsbDeviceInfo;
  readonly #usb: VirtualUsb;
  readonly #attachment: Attachment;
  /** Made and not yet begun: calls take turns, and a time-out takes those behind it along. */
  readonly #queued: { isDropped: boolean }[] = [];
  #lastTurn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(usb: VirtualUsb, attachment: Attachment) {
    this.#usb = usb;
    this.#attachment = attachment;
    this.info = attachment.info();
  }

  async controlOut(
    setup: ControlSetup,
    data: Uint8Array,
    timeoutMs: number,
  ): Promise<'ok' | 'stall' | 'timeout'> {
    const answer = await this.#transfer(packetOf(setup, 0x00, data.length), data, timeoutMs);
    return typeof answer === 'string' ? answer : 'ok';
  }

  async controlIn(
    setup: ControlSetup,
    length: number,
    timeoutMs: number,
  ): Promise<Uint8Array | 'stall' | 'timeout'> {
    const answer = await this.#transfer(packetOf(setup, 0x80, length), new Uint8Array(0), timeoutMs);
    return typeof answer === 'string' ? answer : answer.slice(0, length);
  }

  async close(): Promise<void> {
    await Promise.resolve();
    if (this.#closed) return;
    this.#closed = true;
    this.#dropQueued();
    this.#attachment.opened = false;
  }

  /** A transfer of the kernel's own: no number, no faults, and no time-out. */
  raw(packet: SetupPacket, data: Uint8Array): Promise<Uint8Array | 'stall' | 'timeout'> {
    return this.#carry(packet, data, 0, false);
  }

  async #transfer(
    packet: SetupPacket,
    data: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array | 'stall' | 'timeout'> {
    if (this.#closed) {
      throw new OctopusError('internal', 'a USB device was used after it was closed', {
        advice: 'This is a fault of octopus-flasher: please report it.',
      });
    }
    // The caller may use its buffer again; what is on the wire stays as it was.
    const bytes = data.slice();
    const own = { isDropped: false };
    this.#queued.push(own);
    const turn = this.#lastTurn.then(async () => {
      this.#queued.shift();
      if (own.isDropped) return 'timeout';
      const answer = await this.#perform(packet, bytes, timeoutMs);
      if (answer === 'timeout') this.#dropQueued();
      return answer;
    });
    this.#lastTurn = turn.catch(() => {});
    return turn;
  }

  #dropQueued(): void {
    for (const one of this.#queued) one.isDropped = true;
  }

  /** Its turn has come: only now it has a number, and whatever goes wrong with it happens now. */
  async #perform(
    packet: SetupPacket,
    data: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array | 'stall' | 'timeout'> {
    const n = this.#usb.transfers.next(packet);
    const { busPath, owner } = this.#attachment;
    const fault = this.#usb.faults.beforeTransfer?.(n, packet, data, busPath);
    switch (fault) {
      case 'stall':
        return 'stall';
      case 'timeout':
        await this.#usb.clock.sleep(timeoutMs);
        return 'timeout';
      case 'lost-answer':
        return this.#carry(packet, data, timeoutMs, true);
      case 'doubled':
        await this.#carry(packet, data, timeoutMs, false);
        return this.#carry(packet, data, timeoutMs, false);
      case 'flipped':
        return flipped(await this.#carry(packet, data, timeoutMs, false));
      case 'unplug':
        owner?.unplug();
        break;
      case 'power-cut':
        owner?.powerCut();
        break;
      case undefined:
        break;
      default:
        return this.#late(this.#carry(packet, data, timeoutMs, false), fault.lateMs, timeoutMs);
    }
    return this.#carry(packet, data, timeoutMs, false);
  }

  /** The next one waits for it: endpoint 0 carries one transfer after the other. */
  async #late<T>(carried: Promise<T>, lateMs: number, timeoutMs: number): Promise<T | 'timeout'> {
    const answer = await carried;
    await this.#usb.clock.sleep(Math.min(lateMs, timeoutMs));
    if (this.#attachment.state === 'left') throw this.#attachment.gone();
    return lateMs < timeoutMs ? answer : 'timeout';
  }

  #carry(
    packet: SetupPacket,
    data: Uint8Array,
    timeoutMs: number,
    loseAnswer: boolean,
  ): Promise<Uint8Array | 'stall' | 'timeout'> {
    const attachment = this.#attachment;
    const { clock, times } = this.#usb;
    return new Promise((resolve, reject) => {
      if (attachment.state === 'left') {
        reject(attachment.gone());
        return;
      }
      let over = false;
      const end = (finish: () => void): void => {
        if (over) return;
        over = true;
        cancelTimer();
        forget();
        finish();
      };
      // As libusb has it, a time-out of 0 waits for ever.
      const cancelTimer =
        timeoutMs > 0 ? after(clock, timeoutMs, () => end(() => resolve('timeout'))) : (): void => {};
      const forget = attachment.onLeft(() => end(() => reject(attachment.gone())));
      const work = async (): Promise<void> => {
        // Given up before its turn, or no longer on the wire: the chip never sees it.
        if (over || attachment.state !== 'present') return;
        if (times.transferMs > 0) await clock.sleep(times.transferMs);
        if (attachment.state !== 'present') return;
        const answer = await attachment.fn.control(packet, data);
        if (attachment.state === 'present' && !loseAnswer) end(() => resolve(answer));
      };
      // A transfer that timed out leaves the chip at work; the next SETUP waits until it is done.
      const turn = attachment.queue.then(work);
      attachment.queue = turn.catch(() => {});
      turn.catch((error: unknown) =>
        end(() => reject(error instanceof Error ? error : new Error(String(error)))),
      );
    });
  }
}

/** Only what the device says can be misheard. */
function flipped<T>(answer: T | Uint8Array): T | Uint8Array {
  if (!(answer instanceof Uint8Array)) return answer;
  const middle = answer.length >> 1;
  return answer.map((byte, at) => (at === middle ? byte ^ 0x04 : byte));
}

function packetOf(setup: ControlSetup, direction: number, length: number): SetupPacket {
  return {
    bmRequestType:
      direction | (setup.type === 'class' ? 0x20 : 0x00) | (setup.recipient === 'interface' ? 1 : 0),
    bRequest: setup.request,
    wValue: setup.value,
    wIndex: setup.index,
    wLength: length,
  };
}

function requestName(setup: SetupPacket): string {
  if ((setup.bmRequestType & 0x60) === 0x20) return DFU_NAMES[setup.bRequest] ?? `class-${setup.bRequest}`;
  return setup.bRequest === 6 ? 'get-descriptor' : `standard-${setup.bRequest}`;
}
