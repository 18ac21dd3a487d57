// Virtual bench, USB: a CDC-ACM function as Klipper and Katapult have it, down to its endpoints.
// Layout and answers: Klipper src/generic/usb_cdc.c, usb_cdc_ep.h; the numbers: USB CDC 1.2 and PSTN 1.2.

import { PacketQueue } from './packet-queue.ts';
import { configuration, standardRequest, type DeviceFacts } from './usb-descriptors.ts';
import type { SerialLine, SetupPacket, UsbPipes } from './usb-function.ts';

/** USB_CDC_EP_ACM, _BULK_OUT, _BULK_IN with their direction bits. */
const NOTIFY = 0x81;
const BULK_OUT = 0x02;
const BULK_IN = 0x83;
const PACKET = 64;
/** transmit_buf of src/generic/usb_cdc.c: what more nobody fetches is dropped. */
const TRANSMIT_BUFFER = 192;

/** Where a host's driver finds the bytes of the tty. */
export const CDC_TTY = { out: BULK_OUT, into: BULK_IN } as const;

/** Header (CDC 1.10), ACM (line coding and state, break: 0x06), union of interfaces 0 and 1. */
const FUNCTIONAL = [
  [5, 0x24, 0x00, 0x10, 0x01],
  [4, 0x24, 0x02, 0x06],
  [5, 0x24, 0x06, 0, 1],
].flat();

export const CDC_CONFIGURATION = configuration([
  { kind: [2, 2, 1], functional: FUNCTIONAL, endpoints: [[NOTIFY, 3, 8, 255]] },
  {
    kind: [10, 0, 0],
    endpoints: [
      [BULK_OUT, 2, PACKET, 0],
      [BULK_IN, 2, PACKET, 0],
    ],
  },
]);

/** PSTN 1.2 table 13: what the host may ask of interface 0. */
const SET_LINE_CODING = 0x20;
const GET_LINE_CODING = 0x21;
const SET_CONTROL_LINE_STATE = 0x22;
const LINE_CODING_BYTES = 7;
const SET_CONFIGURATION = 9;

export interface CdcParts {
  /** One packet of the host; resolves when the chip has taken it, and until then the endpoint answers NAK. */
  readonly receive: (packet: Uint8Array, signal?: AbortSignal) => void | Promise<void>;
  /** check_reboot: called at both requests that set the line, with what it looks at. */
  readonly onLine?: (line: SerialLine) => void;
  /** Whether SET_LINE_CODING is looked at before its data are there. Default false. */
  readonly looksEarly?: boolean;
}

export class CdcFunction {
  readonly #facts: DeviceFacts;
  readonly #parts: CdcParts;
  readonly #queue = new PacketQueue();
  /** Firmware's bytes that no packet carries yet. */
  #transmit: number[] = [];
  /** Zero until a host sets it, as a static variable is. */
  #coding = new Uint8Array(LINE_CODING_BYTES);
  #control = 0;
  /** Transfers to the bulk endpoint, one after the other; void when the cable was out in between. */
  #turn: Promise<unknown> = Promise.resolve();
  #plug = 0;

  constructor(facts: DeviceFacts, parts: CdcParts) {
    this.#facts = facts;
    this.#parts = parts;
  }

  /** Sends a message of the firmware; without room for all of it, nothing of it is sent. */
  send(message: Uint8Array): void {
    if (this.#transmit.length + message.length > TRANSMIT_BUFFER) return;
    this.#transmit.push(...message);
    this.#fill();
  }

  /** The cable is out: what a host had under way ends. What the chip has not sent stays with it. */
  unplugged(): void {
    this.#plug++;
    this.#turn = Promise.resolve();
  }

  line(): SerialLine {
    const view = new DataView(this.#coding.buffer);
    return {
      baud: view.getUint32(0, true),
      dtr: (this.#control & 1) !== 0,
      rts: (this.#control & 2) !== 0,
    };
  }

  control(setup: SetupPacket, data: Uint8Array): Uint8Array | 'stall' {
    const { bmRequestType, bRequest, wValue, wIndex, wLength } = setup;
    if ((bmRequestType & 0x60) === 0) {
      const answer = standardRequest(setup, this.#facts, CDC_CONFIGURATION);
      if (bRequest === SET_CONFIGURATION && answer !== 'stall') this.#configured();
      return answer;
    }
    if (wIndex !== 0) return 'stall';
    if (bmRequestType === 0x21 && bRequest === SET_CONTROL_LINE_STATE && wLength === 0) {
      this.#control = wValue & 0xff;
      this.#parts.onLine?.(this.line());
      return new Uint8Array(0);
    }
    if (wValue !== 0 || wLength < LINE_CODING_BYTES) return 'stall';
    if (bmRequestType === 0xa1 && bRequest === GET_LINE_CODING) return this.#coding.slice();
    if (bmRequestType !== 0x21 || bRequest !== SET_LINE_CODING || data.length !== LINE_CODING_BYTES)
      return 'stall';
    const looksEarly = this.#parts.looksEarly ?? false;
    if (looksEarly) this.#parts.onLine?.(this.line());
    this.#coding = Uint8Array.from(data);
    if (!looksEarly) this.#parts.onLine?.(this.line());
    return new Uint8Array(0);
  }

  readonly pipes: UsbPipes = {
    out: (address, bytes, signal) => {
      if (address !== BULK_OUT) return Promise.resolve('stall');
      const turn = this.#turn.then(() => this.#packets(bytes, this.#plug, signal));
      this.#turn = turn.catch(() => {});
      return turn;
    },
    take: (address) => {
      if (address !== BULK_IN) return undefined;
      const packet = this.#queue.take();
      this.#fill();
      return packet;
    },
    onReady: (listener) => this.#queue.onReady(listener),
  };

  async #packets(bytes: Uint8Array, plug: number, signal?: AbortSignal): Promise<'ok' | 'stall'> {
    for (let at = 0; at < bytes.length; at += PACKET) {
      if (plug !== this.#plug || signal?.aborted === true) break;
      await this.#parts.receive(bytes.slice(at, at + PACKET), signal);
    }
    return 'ok';
  }

  /** usb_set_configure flushes the packet that lies in the endpoint; what is in the buffer behind it is sent. */
  #configured(): void {
    this.#queue.clear();
    this.#fill();
  }

  /** One packet lies in the endpoint; the next is cut when it has gone. */
  #fill(): void {
    if (this.#queue.waiting > 0 || this.#transmit.length === 0) return;
    this.#queue.push(Uint8Array.from(this.#transmit.splice(0, PACKET)));
  }
}
