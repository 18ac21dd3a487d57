// Virtual bench, Katapult on USB: its receive buffer of 128 bytes and its endpoints (Katapult 902f335,
// src/generic/usb_cdc.c, src/stm32/usbotg.c). It lives as long as the chip runs, over every replug of the cable.

import type { ByteDirection } from '../byte-faults.ts';
import { CDC_TTY, CdcFunction } from '../usb-cdc.ts';
import { deviceDescriptor, deviceStrings, type DeviceFacts } from '../usb-descriptors.ts';
import type { UsbFunction } from '../usb-function.ts';
import type { KatapultFirmware } from './firmware.ts';

/** receive_buf, and USB_CDC_EP_BULK_OUT_SIZE. */
const RECEIVE_BUFFER = 128;
const PACKET = 64;

export class KatapultUsb {
  readonly #facts: DeviceFacts;
  readonly #firmware: KatapultFirmware;
  readonly #disturb: (direction: ByteDirection, message: Uint8Array) => readonly Uint8Array[];
  readonly #cdc: CdcFunction;
  #buffer = new Uint8Array(0);
  /** The one packet that the endpoint has room for; while it lies there the next gets NAK. */
  #packet: Uint8Array | undefined;
  #packetTaken: (() => void)[] = [];
  /** Control requests that came while the core stood still. */
  #coreFree: (() => void)[] = [];
  #isTurning = false;
  #plug = 0;

  /** @param start makes the firmware, with the function that sends its answers */
  constructor(
    facts: DeviceFacts,
    disturb: (direction: ByteDirection, message: Uint8Array) => readonly Uint8Array[],
    start: (respond: (message: Uint8Array) => void) => KatapultFirmware,
  ) {
    this.#facts = facts;
    this.#disturb = disturb;
    this.#cdc = new CdcFunction(facts, { receive: (packet, signal) => this.#receive(packet, signal) });
    this.#firmware = start((message) => {
      for (const one of disturb('in', message)) this.#cdc.send(one);
    });
  }

  /** The chip as a host meets it after a plug: the firmware, its buffers and a wedge are those of before. */
  plugIn(): UsbFunction {
    const { pipes } = this.#cdc;
    return {
      deviceDescriptor: deviceDescriptor(this.#facts),
      strings: deviceStrings(this.#facts),
      isDead: () => this.#firmware.isHung,
      control: async (setup, data) => {
        await this.#coreRuns();
        const answer = this.#cdc.control(setup, data);
        return answer === 'stall' ? answer : answer.slice(0, setup.wLength);
      },
      pipes: {
        take: (address) => pipes.take(address),
        onReady: (listener) => pipes.onReady(listener),
        out: async (address, bytes, signal) => {
          let status: 'ok' | 'stall' = 'ok';
          for (const one of this.#disturb('out', bytes)) status = await pipes.out(address, one, signal);
          return status;
        },
      },
      serialLine: () => this.#cdc.line(),
      tty: CDC_TTY,
      stop: () => {
        this.#plug++;
        this.#cdc.unplugged();
        for (const taken of this.#packetTaken.splice(0)) taken();
      },
    };
  }

  /** Endpoint 0 is served by the main loop: an erase holds it, a hard fault for ever. */
  async #coreRuns(): Promise<void> {
    while (this.#firmware.isHung || this.#firmware.isBusy)
      await new Promise<void>((resolve) => this.#coreFree.push(resolve));
  }

  async #receive(packet: Uint8Array, signal?: AbortSignal): Promise<void> {
    const plug = this.#plug;
    if (this.#packet !== undefined) await new Promise<void>((resolve) => this.#packetTaken.push(resolve));
    if (plug !== this.#plug || signal?.aborted === true) return;
    this.#packet = packet;
    // The loop may not answer for the packet: it is in the endpoint, which is all that the host learns.
    void this.#turn();
  }

  /** usb_bulk_out_task, as often as it is woken: it reads a packet where 64 bytes are free, then looks for one frame. */
  async #turn(): Promise<void> {
    if (this.#isTurning) return;
    this.#isTurning = true;
    // The real loop turns on where nothing can change any more: no room to read, no frame to take.
    for (let goesOn = true; goesOn && !this.#firmware.isHung;) {
      this.#read();
      const { took, ret } = await this.#firmware.step(this.#buffer);
      if (ret !== 0) this.#buffer = this.#buffer.slice(took);
      this.#freeCore();
      const hasMore = ret !== 0 && this.#buffer.length > 0 && !this.#firmware.isWedged;
      goesOn = hasMore || this.#canRead;
    }
    this.#isTurning = false;
  }

  get #canRead(): boolean {
    return this.#packet !== undefined && this.#buffer.length + PACKET <= RECEIVE_BUFFER;
  }

  #read(): void {
    if (!this.#canRead) return;
    this.#buffer = Uint8Array.from([...this.#buffer, ...(this.#packet ?? [])]);
    this.#packet = undefined;
    this.#packetTaken.shift()?.();
  }

  #freeCore(): void {
    if (this.#firmware.isHung) return;
    for (const free of this.#coreFree.splice(0)) free();
  }
}
