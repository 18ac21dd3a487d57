// usbredir, the side that has the device (its documents call it the usb-host): one channel, one socket on the board,
// whatever comes and goes there.

import type { Duplex } from 'node:stream';
import type { ServedDevice, ServedPort } from './port.ts';
import {
  NOTHING_AGREED,
  STATUS,
  TYPE,
  agree,
  capabilitiesOf,
  dataReply,
  deviceConnect,
  epInfo,
  hello,
  interfaceInfo,
  interruptBody,
  packet,
  parseData,
  parsePacket,
  type Agreed,
  type Packet,
} from './usbredir-wire.ts';

const NOTHING = new Uint8Array(0);
const SET_CONFIGURATION = 9;
const SET_INTERFACE = 11;

/** Serves one channel until it ends. Whatever comes in, nothing is thrown. */
export function serveUsbredir(socket: Duplex, port: ServedPort): void {
  const channel = new Channel(socket, port);
  socket.on('data', (chunk: Buffer) => channel.receive(chunk));
  socket.on('error', () => socket.destroy());
  socket.on('close', () => channel.close());
}

interface Pending {
  readonly cancel: () => boolean;
  readonly tellCancelled: () => void;
}

class Channel {
  readonly #socket: Duplex;
  readonly #port: ServedPort;
  readonly #forget: () => void;
  #received: Buffer = Buffer.alloc(0);
  #agreed: Agreed = NOTHING_AGREED;
  #hasHello = false;
  /** What the guest has been told of. */
  #device: ServedDevice | undefined;
  #giveBack: () => void = () => {};
  /** Until the guest has said that it knows, its packets are meant for the device before. */
  #owesAck = false;
  #configuration = 1;
  readonly #pending = new Map<bigint, Pending>();
  readonly #polled = new Map<number, () => boolean>();

  constructor(socket: Duplex, port: ServedPort) {
    this.#socket = socket;
    this.#port = port;
    socket.write(hello('octopus-flasher virtual board'));
    this.#forget = port.onChange(() => this.#look());
  }

  receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    while (!this.#socket.destroyed) {
      const parsed = parsePacket(this.#received, this.#agreed);
      if (parsed === 'bad') {
        this.#socket.destroy();
        return;
      }
      if ('needs' in parsed) return;
      this.#received = this.#received.subarray(parsed.used);
      if (!this.#hasHello && parsed.packet.type !== TYPE.hello) {
        this.#socket.destroy();
        return;
      }
      this.#perform(parsed.packet);
    }
  }

  close(): void {
    this.#forget();
    this.#drop();
  }

  /** The port has another device than the guest knows of. */
  #look(): void {
    const { device } = this.#port;
    if (!this.#hasHello || device === this.#device) return;
    if (this.#device !== undefined) {
      this.#drop();
      this.#send(TYPE.deviceDisconnect, NOTHING);
      this.#owesAck = this.#agreed.deviceDisconnectAck;
    }
    if (device === undefined || this.#owesAck) return;
    const release = this.#port.take();
    if (release === undefined) return;
    this.#giveBack = release;
    this.#device = device;
    this.#configuration = 1;
    this.#describe(device);
    this.#send(TYPE.deviceConnect, deviceConnect(device, this.#agreed));
  }

  #describe(device: ServedDevice): void {
    this.#send(TYPE.interfaceInfo, interfaceInfo(device));
    this.#send(TYPE.epInfo, epInfo(device, this.#agreed));
  }

  #drop(): void {
    this.#abandon();
    this.#device = undefined;
    this.#giveBack();
    this.#giveBack = () => {};
  }

  #abandon(): void {
    for (const { cancel } of this.#pending.values()) cancel();
    for (const cancel of this.#polled.values()) cancel();
    this.#pending.clear();
    this.#polled.clear();
  }

  #perform(one: Packet): void {
    if (one.type === TYPE.hello) {
      if (this.#hasHello) return;
      this.#hasHello = true;
      this.#agreed = agree(capabilitiesOf(one.body));
      this.#look();
      return;
    }
    if (one.type === TYPE.deviceDisconnectAck) {
      this.#owesAck = false;
      this.#look();
      return;
    }
    const device = this.#device;
    if (device === undefined) return;
    const [first = 0, second = 0] = one.body;
    switch (one.type) {
      case TYPE.reset:
        // Nothing of what the chip does on a bus reset is proven, so it goes on as it was.
        this.#abandon();
        return;
      case TYPE.setConfiguration:
        this.#setConfiguration(device, one.id, first);
        return;
      case TYPE.getConfiguration:
        this.#send(TYPE.configurationStatus, Uint8Array.of(STATUS.success, this.#configuration), one.id);
        return;
      case TYPE.setAltSetting:
        this.#setAltSetting(device, one.id, first, second);
        return;
      case TYPE.getAltSetting:
        this.#send(TYPE.altSettingStatus, Uint8Array.of(STATUS.success, first, 0), one.id);
        return;
      case TYPE.startInterruptReceiving:
        this.#poll(device, first);
        this.#send(TYPE.interruptReceivingStatus, Uint8Array.of(STATUS.success, first), one.id);
        return;
      case TYPE.stopInterruptReceiving:
        this.#polled.get(first)?.();
        this.#polled.delete(first);
        this.#send(TYPE.interruptReceivingStatus, Uint8Array.of(STATUS.success, first), one.id);
        return;
      case TYPE.cancelDataPacket:
        this.#cancel(one.id);
        return;
      default:
        this.#transfer(device, one);
    }
  }

  #setConfiguration(device: ServedDevice, id: bigint, value: number): void {
    const setup = { bmRequestType: 0, bRequest: SET_CONFIGURATION, wValue: value, wIndex: 0, wLength: 0 };
    device.urbs.submit({ address: 0, setup, data: NOTHING, length: 0 }, ({ status }) => {
      if (status === 'ok') {
        this.#configuration = value;
        this.#describe(device);
      }
      const told = status === 'ok' ? STATUS.success : STATUS.inval;
      this.#send(TYPE.configurationStatus, Uint8Array.of(told, this.#configuration), id);
    });
  }

  #setAltSetting(device: ServedDevice, id: bigint, number: number, setting: number): void {
    const setup = { bmRequestType: 1, bRequest: SET_INTERFACE, wValue: setting, wIndex: number, wLength: 0 };
    device.urbs.submit({ address: 0, setup, data: NOTHING, length: 0 }, ({ status }) => {
      const told = status === 'ok' ? STATUS.success : STATUS.stall;
      this.#send(TYPE.altSettingStatus, Uint8Array.of(told, number, setting), id);
    });
  }

  /** Interrupt endpoints are asked all the time, and what they have is sent unasked. */
  #poll(device: ServedDevice, address: number): void {
    if (this.#polled.has(address) || (address & 0x8f) <= 0x80) return;
    let number = 0n;
    const next = (): void => {
      let isOver = false;
      const cancel = device.urbs.submit({ address, data: NOTHING, length: 64 }, ({ status, bytes }) => {
        isOver = true;
        this.#polled.delete(address);
        if (status !== 'ok') return;
        this.#send(TYPE.interruptPacket, interruptBody(address, bytes), number++);
        setImmediate(next);
      });
      if (!isOver) this.#polled.set(address, cancel);
    };
    next();
  }

  #cancel(id: bigint): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    pending.cancel();
    pending.tellCancelled();
  }

  #transfer(device: ServedDevice, one: Packet): void {
    const data = parseData(one, this.#agreed);
    if (data === undefined) return;
    const isIn = (data.address & 0x80) !== 0;
    const { address, setup } = data;
    const urb = { address, data: data.data, length: isIn ? data.length : 0 };
    let isOver = false;
    const reply = (status: number, length: number, bytes: Uint8Array): void => {
      isOver = true;
      this.#pending.delete(one.id);
      this.#send(one.type, dataReply(data, status, length, bytes), one.id);
    };
    const cancel = device.urbs.submit(setup === undefined ? urb : { ...urb, setup }, ({ status, bytes }) => {
      if (status === 'ok') reply(STATUS.success, isIn ? bytes.length : data.length, bytes);
      else if (status === 'stall') reply(STATUS.stall, 0, NOTHING);
      // Nobody answers on the wire: a host controller says so at once, while QEMU would let whoever waits run into his
      // time-out (5 s of cdc_acm, under the lock that the hub's work needs). All else ends by device_disconnect.
      else if (setup !== undefined) reply(STATUS.ioerror, 0, NOTHING);
    });
    if (isOver) return;
    this.#pending.set(one.id, { cancel, tellCancelled: () => reply(STATUS.cancelled, 0, NOTHING) });
  }

  #send(type: number, body: Uint8Array, id = 0n): void {
    if (!this.#socket.destroyed) this.#socket.write(packet(type, id, body, this.#agreed));
  }
}
