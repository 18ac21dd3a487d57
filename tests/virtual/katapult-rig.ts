// Katapult on the table: its main loop on a flash, fed by hand. Frames are the byte strings of real runs
// (klipper-katapult-dfu.md section 4) or, where a test needs its own, made with a CRC written from the table's rule.

import { VirtualClock } from '../../src/virtual/clock.ts';
import { KatapultFirmware, type KatapultParts } from '../../src/virtual/katapult/firmware.ts';
import { KatapultUsb } from '../../src/virtual/katapult/usb.ts';
import { katapultFacts } from '../../src/virtual/klipper-app.ts';
import { FlashMemory, type FlashOptions } from '../../src/virtual/silicon/flash-memory.ts';
import { loadMcu } from '../../src/virtual/silicon/mcu-data.ts';
import type { UsbFunction } from '../../src/virtual/usb-function.ts';

/** Section 4, "Vectors [RUN]". */
export const VECTOR = {
  connect: '01881100f17c9903',
  eof: '01881300414f9903',
  complete: '01881500911b9903',
  getId: '01881600f9319903',
  request: '01881401008000088cd19903',
  send: `0188121100800008${Array.from({ length: 64 }, (_, n) => n.toString(16).padStart(2, '0')).join('')}20e59903`,
  sendAck: '0188a00212000000008000088dd99903',
  nack: '0188f10068959903',
  error: '0188f20000bf9903',
  connectAck: `0188a00d11000000000101000080000840000000${ascii('stm32f446xx')}0000000000${ascii('v0.0.1-109-g902f335')}00c07d9903`,
  getIdAck: '0188a00316000000ac11f42fe5aa000068799903',
} as const;

export const APP = { f446: 0x0800_8000, h723: 0x0802_0000 } as const;

export function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

export function hex(data: Uint8Array): string {
  return Buffer.from(data).toString('hex');
}

function ascii(text: string): string {
  return Buffer.from(text, 'latin1').toString('hex');
}

/** CRC-16/MCRF4XX bit by bit: polynomial 0x1021 reflected, start 0xffff. */
export function crc16(data: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >> 1 : (crc >> 1) ^ 0x8408;
  }
  return crc;
}

export function frame(command: number, ...parts: (number | Uint8Array)[]): Uint8Array {
  const payload = Buffer.concat(
    parts.map((part) => {
      if (typeof part !== 'number') return part;
      const word = Buffer.alloc(4);
      word.writeUInt32LE(part);
      return word;
    }),
  );
  const head = Buffer.of(0x01, 0x88, command, payload.length / 4);
  const crc = crc16(Buffer.concat([head.subarray(2), payload]));
  return Uint8Array.from(Buffer.concat([head, payload, Buffer.of(crc & 0xff, crc >> 8, 0x99, 0x03)]));
}

export const send = (address: number, data: Uint8Array): Uint8Array => frame(0x12, address, data);
export const block = (seed: number): Uint8Array =>
  Uint8Array.from({ length: 64 }, (_, n) => (n * 7 + seed) & 0xff);
export const ackOf = (command: number, ...words: number[]): string => hex(frame(0xa0, command, ...words));

export interface KatapultRig {
  readonly clock: VirtualClock;
  readonly flash: FlashMemory;
  readonly firmware: KatapultFirmware;
  /** What it has said, in hex, since last asked. */
  said(): string[];
  readonly jumps: number[];
  /** Puts bytes behind what waits and lets it step until it needs more, or turns round on the spot. */
  feed(data: Uint8Array | string): Promise<string[]>;
  readonly waiting: () => number;
}

export function katapultRig(
  options: Partial<KatapultParts> & { chip?: 'stm32f446xx' | 'stm32h723xx' } & FlashOptions = {},
): KatapultRig {
  const { chip = 'stm32f446xx', times = 'zero', seed = 1, ...parts } = options;
  const clock = new VirtualClock();
  const flash = new FlashMemory(loadMcu(chip), clock, { times, seed });
  let answers: string[] = [];
  const jumps: number[] = [];
  const firmware = new KatapultFirmware({
    clock,
    flash,
    mcu: chip,
    version: 'v0.0.1-109-g902f335',
    appAddress: chip === 'stm32h723xx' ? APP.h723 : APP.f446,
    respond: (message) => answers.push(hex(message)),
    jump: () => jumps.push(clock.now()),
    ...parts,
  });
  let buffer = new Uint8Array(0);
  const said = (): string[] => answers.splice(0);
  return {
    clock,
    flash,
    firmware,
    said,
    jumps,
    waiting: () => buffer.length,
    feed: async (data) => {
      const added = typeof data === 'string' ? bytes(data) : data;
      buffer = Uint8Array.from([...buffer, ...added]);
      for (;;) {
        const { took, ret } = await firmware.step(buffer);
        if (ret !== 0) buffer = buffer.slice(took);
        if (ret === 0 || firmware.isWedged || buffer.length === 0) return said();
      }
    },
  };
}

export interface KatapultUsbRig {
  readonly clock: VirtualClock;
  readonly flash: FlashMemory;
  readonly firmware: KatapultFirmware;
  readonly usb: KatapultUsb;
  plug(): UsbFunction;
}

/** The same with its USB side, and a host that is written by hand. */
export function katapultUsb(
  options: FlashOptions & { disturb?: ConstructorParameters<typeof KatapultUsb>[1] } = {},
): KatapultUsbRig {
  const clock = new VirtualClock();
  const flash = new FlashMemory(loadMcu('stm32f446xx'), clock, { times: 'zero', ...options });
  let firmware: KatapultFirmware | undefined;
  const usb = new KatapultUsb(
    katapultFacts('stm32f446xx', 'aa'),
    options.disturb ?? ((_direction, message) => [message]),
    (respond) => {
      firmware = new KatapultFirmware({
        clock,
        flash,
        mcu: 'stm32f446xx',
        version: 'v0.0.1-109-g902f335',
        appAddress: APP.f446,
        respond,
        jump: () => {},
      });
      return firmware;
    },
  );
  if (firmware === undefined) throw new Error('the USB side makes its firmware');
  return { clock, flash, firmware, usb, plug: () => usb.plugIn() };
}

/** All packets that lie there, and come as they are fetched. */
export function fetchAll(fn: UsbFunction): string[] {
  const packets: string[] = [];
  for (let packet = fn.pipes?.take(0x83); packet !== undefined; packet = fn.pipes?.take(0x83))
    packets.push(hex(packet));
  return packets;
}
