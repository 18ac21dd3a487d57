// Virtual board for other programs, without a USB bus: its CDC-ACM function as a pseudo-terminal at a link that comes and
// goes with the board. What a kernel's cdc_acm makes of open, close and bytes is made here.

import { lstatSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { OctopusError } from '../../errors.ts';
import type { ServedDevice, ServedPort } from './port.ts';
import { PseudoTerminal } from './terminal.ts';

const NOTHING = new Uint8Array(0);
const CLASS_CDC_DATA = 10;
/** cdc-acm.c, acm_probe: sizes of a write URB and a read URB. */
const WRITE_BYTES = 1280;
const READ_BYTES = 128;
/** PSTN 1.2 table 13. */
const SET_LINE_CODING = 0x20;
const SET_CONTROL_LINE_STATE = 0x22;
const DTR_AND_RTS = 3;

/**
 * While a device with a serial function is in `port`, `link` points to its terminal. Throws `busy` where something else
 * lies at `link`.
 */
export function servePty(port: ServedPort, link: string, tell: (line: string) => void): () => void {
  if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() === false) throw isInTheWay(link);
  let end: (() => void) | undefined;
  let shown: ServedDevice | undefined;
  const look = (): void => {
    if (end !== undefined && port.device === shown) return;
    end?.();
    end = undefined;
    const { device } = port;
    const release = isSerial(device) ? port.take() : undefined;
    if (device === undefined || release === undefined) return;
    shown = device;
    const stop = showTerminal(device, link, tell);
    end = () => {
      stop();
      release();
    };
  };
  const forget = port.onChange(look);
  look();
  return () => {
    forget();
    end?.();
    end = undefined;
  };
}

function isSerial(device: ServedDevice | undefined): boolean {
  return device?.interfaces.some(({ kind }) => kind[0] === CLASS_CDC_DATA) ?? false;
}

function showTerminal(device: ServedDevice, link: string, tell: (line: string) => void): () => void {
  let terminal: PseudoTerminal | undefined;
  let isOver = false;
  const driver = new Driver(device, (bytes) => terminal?.write(bytes));
  const start = async (): Promise<void> => {
    const made = await PseudoTerminal.open(driver);
    if (isOver) {
      made.close();
      return;
    }
    terminal = made;
    relink(link, made.path);
    tell(`${link} is ${made.path}`);
  };
  start().catch((error: unknown) => tell(error instanceof Error ? error.message : String(error)));
  return () => {
    isOver = true;
    driver.stop();
    if (terminal === undefined) return;
    unlink(link, terminal.path);
    terminal.close();
  };
}

/** The transfers that a kernel would make for whoever has the port open. */
class Driver {
  readonly #device: ServedDevice;
  readonly #toProgram: (bytes: Uint8Array) => void;
  readonly #out: number;
  readonly #into: number;
  #cancelRead: (() => void) | undefined;
  #isOpen = false;
  #baud = 0;

  constructor(device: ServedDevice, toProgram: (bytes: Uint8Array) => void) {
    this.#device = device;
    this.#toProgram = toProgram;
    const endpoints = device.interfaces.find(({ kind }) => kind[0] === CLASS_CDC_DATA)?.endpoints ?? [];
    this.#out = endpoints.find(({ address }) => address < 0x80)?.address ?? 0;
    this.#into = endpoints.find(({ address }) => address >= 0x80)?.address ?? 0;
  }

  opened(): void {
    this.#isOpen = true;
    this.#set(SET_CONTROL_LINE_STATE, DTR_AND_RTS, NOTHING);
    this.#read();
  }

  /** A terminal keeps no bounds between writes: two that come close together are one transfer. */
  bytes(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; at += WRITE_BYTES) {
      const data = chunk.slice(at, at + WRITE_BYTES);
      this.#device.urbs.submit({ address: this.#out, data, length: 0 }, () => {});
    }
  }

  closed(baud: number, drops: boolean): void {
    this.stop();
    if (baud !== this.#baud) {
      // A terminal does not tell when its speed is set, so the chip hears of it now, while DTR is still up.
      const coding = new Uint8Array(7);
      new DataView(coding.buffer).setUint32(0, baud, true);
      coding[6] = 8;
      this.#set(SET_LINE_CODING, 0, coding);
      this.#baud = baud;
    }
    if (drops) this.#set(SET_CONTROL_LINE_STATE, 0, NOTHING);
  }

  stop(): void {
    this.#isOpen = false;
    this.#cancelRead?.();
    this.#cancelRead = undefined;
  }

  #read(): void {
    if (!this.#isOpen) return;
    const urb = { address: this.#into, data: NOTHING, length: READ_BYTES };
    this.#cancelRead = this.#device.urbs.submit(urb, ({ status, bytes }) => {
      if (status !== 'ok') return;
      this.#toProgram(bytes);
      setImmediate(() => this.#read());
    });
  }

  #set(bRequest: number, wValue: number, data: Uint8Array): void {
    const setup = { bmRequestType: 0x21, bRequest, wValue, wIndex: 0, wLength: data.length };
    this.#device.urbs.submit({ address: 0, setup, data, length: 0 }, () => {});
  }
}

/** In one step: a program that opens the link finds the old terminal or the new one. */
function relink(link: string, target: string): void {
  rmSync(`${link}.new`, { force: true });
  symlinkSync(target, `${link}.new`);
  renameSync(`${link}.new`, link);
}

/** Only while it is still ours. */
function unlink(link: string, target: string): void {
  const isLink = lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  if (isLink && readlinkSync(link) === target) rmSync(link, { force: true });
}

function isInTheWay(link: string): OctopusError {
  return new OctopusError('busy', `${link} is there and is no link`, {
    place: link,
    advice: 'Name another path, or remove what lies there.',
  });
}
