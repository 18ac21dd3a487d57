// Virtual board for other programs: a pseudo-terminal that nobody but its master holds, so that a program which looks for
// others on the port (Katapult's flashtool does, in /proc) finds none. Node has no function for it; koffi reaches libc.
// Linux: include/uapi/asm-generic/ioctls.h and termbits.h, drivers/tty/pty.c.

import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { OctopusError } from '../../errors.ts';

const TIOCGPTN = 0x8004_5430;
const TIOCSPTLCK = 0x4004_5431;
const TCGETS2 = 0x802c_542a;
const TCSETS2 = 0x402c_542b;
const TCFLSH = 0x540b;
/** TCIFLUSH is 0, which is what the kernel sees of it. */
const TCIFLUSH = null;
/** struct termios2: c_iflag, c_oflag, c_cflag, c_lflag, c_line, 19 of c_cc, c_ispeed, c_ospeed. */
const TERMIOS2_BYTES = 44;
const CFLAG_AT = 8;
const VMIN_AT = 17 + 6;
const ISPEED_AT = 36;
const OSPEED_AT = 40;
/** BOTHER, CS8, CREAD, HUPCL, CLOCAL. */
const RAW_CFLAG = 0o010000 | 0o000060 | 0o000200 | 0o002000 | 0o004000;
const HUPCL = 0o002000;
const FIRST_BAUD = 9600;

const FLAGS = constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK;

/** No event tells that somebody opens the other end. */
const LOOK_MS = 10;
const CHUNK_BYTES = 4096;

export interface TerminalEvents {
  /** The first program has opened it. */
  opened(): void;
  bytes(chunk: Uint8Array): void;
  /** The last program has closed it, with this speed; `drops`: DTR falls then, as HUPCL has it. */
  closed(baud: number, drops: boolean): void;
}

type Ioctl = (fd: number, request: number, argument: Uint8Array | null) => void;
type Poll = (typeof import('koffi'))['node']['poll'];

export class PseudoTerminal {
  readonly path: string;
  readonly #fd: number;
  readonly #ioctl: Ioctl;
  readonly #events: TerminalEvents;
  readonly #watch: ReturnType<Poll>;
  #isOpen = false;
  #isOver = false;
  #looking: NodeJS.Timeout | undefined;
  #unsent: Uint8Array[] = [];
  #baud = FIRST_BAUD;

  /** Throws `no-hardware` where the system has no pseudo-terminals or koffi does not load. */
  static async open(events: TerminalEvents): Promise<PseudoTerminal> {
    try {
      const { default: koffi } = await import('koffi');
      const native = koffi.load(null).func('int ioctl(int fd, unsigned long request, void *argument)');
      const ioctl: Ioctl = (fd, request, argument) => {
        if (Number(native(fd, request, argument)) < 0)
          throw new Error(`ioctl ${request.toString(16)} failed`);
      };
      return new PseudoTerminal(ioctl, koffi.node.poll, events);
    } catch (error) {
      throw new OctopusError('no-hardware', `no pseudo-terminal can be made: ${String(error)}`, {
        place: '/dev/ptmx',
        advice: 'Mount devpts at /dev/pts, and install the packages of octopus-flasher again: npm ci.',
        cause: error,
      });
    }
  }

  private constructor(ioctl: Ioctl, poll: Poll, events: TerminalEvents) {
    this.#ioctl = ioctl;
    this.#events = events;
    this.#fd = openSync('/dev/ptmx', FLAGS);
    const number = new Uint8Array(4);
    ioctl(this.#fd, TIOCGPTN, number);
    ioctl(this.#fd, TIOCSPTLCK, new Uint8Array(4));
    this.path = `/dev/pts/${new DataView(number.buffer).getUint32(0, true)}`;
    const termios = new Uint8Array(TERMIOS2_BYTES);
    const view = new DataView(termios.buffer);
    view.setUint32(CFLAG_AT, RAW_CFLAG, true);
    termios[VMIN_AT] = 1;
    view.setUint32(ISPEED_AT, FIRST_BAUD, true);
    view.setUint32(OSPEED_AT, FIRST_BAUD, true);
    // Opened and closed once, the other end counts as closed: reading says EIO until somebody opens it.
    this.#atOtherEnd(TCSETS2, termios);
    this.#watch = poll(this.#fd, { readable: true }, () => this.#ready());
    this.#watch.stop();
    this.#look();
  }

  /** What a program does not read now waits here, and goes when it closes the port. */
  write(bytes: Uint8Array): void {
    if (!this.#isOpen || this.#isOver) return;
    this.#unsent.push(bytes.slice());
    this.#send();
  }

  /** The device has gone: programs that have it open are told so by the kernel. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#looking);
    this.#watch.close();
    closeSync(this.#fd);
  }

  /** While nobody has it open. */
  #look(): void {
    if (this.#isOver) return;
    const first = this.#read();
    if (first !== 'closed') {
      this.#isOpen = true;
      this.#events.opened();
      if (first !== 'nothing') this.#events.bytes(first);
      this.#ready();
      if (this.#isOpen) this.#listen();
      return;
    }
    const { baud, drops } = this.#line();
    // Somebody was here and has set the speed between two looks, as stty does.
    if (baud !== this.#baud) {
      this.#baud = baud;
      this.#events.opened();
      this.#events.closed(baud, drops);
    }
    this.#looking = setTimeout(() => this.#look(), LOOK_MS);
  }

  #ready(): void {
    while (this.#isOpen && !this.#isOver) {
      const chunk = this.#read();
      if (chunk === 'closed') {
        this.#closed();
        return;
      }
      if (chunk === 'nothing') break;
      this.#events.bytes(chunk);
    }
    if (this.#unsent.length > 0) this.#send();
  }

  #closed(): void {
    this.#isOpen = false;
    this.#unsent = [];
    this.#watch.stop();
    // A real port is taken apart with its last close, and what was not read goes with it.
    this.#atOtherEnd(TCFLSH, TCIFLUSH);
    const { baud, drops } = this.#line();
    this.#baud = baud;
    this.#events.closed(baud, drops);
    this.#look();
  }

  #atOtherEnd(request: number, argument: Uint8Array | null): void {
    const other = openSync(this.path, FLAGS);
    try {
      this.#ioctl(other, request, argument);
    } finally {
      closeSync(other);
    }
  }

  #read(): Uint8Array | 'nothing' | 'closed' {
    const buffer = new Uint8Array(CHUNK_BYTES);
    try {
      const count = readSync(this.#fd, buffer);
      return count === 0 ? 'nothing' : buffer.slice(0, count);
    } catch (error) {
      return codeOf(error) === 'EAGAIN' ? 'nothing' : 'closed';
    }
  }

  #send(): void {
    for (let first = this.#unsent[0]; first !== undefined; first = this.#unsent[0]) {
      let sent = 0;
      try {
        sent = writeSync(this.#fd, first);
      } catch (error) {
        // EIO: it is being closed, which the next read says.
        if (codeOf(error) !== 'EAGAIN') this.#unsent = [];
      }
      if (sent < first.length) {
        if (this.#unsent.length > 0) this.#unsent[0] = first.subarray(sent);
        break;
      }
      this.#unsent.shift();
    }
    if (this.#isOpen) this.#listen();
  }

  #listen(): void {
    const interest = { readable: true, writable: this.#unsent.length > 0 };
    // In a turn of its own: koffi calls outside of any of Node's.
    this.#watch.start(interest, () => setImmediate(() => this.#ready()));
  }

  /** The master is asked and the other end's answer comes (pty.c has one pair of termios for both). */
  #line(): { baud: number; drops: boolean } {
    const termios = new Uint8Array(TERMIOS2_BYTES);
    this.#ioctl(this.#fd, TCGETS2, termios);
    const view = new DataView(termios.buffer);
    return {
      baud: view.getUint32(OSPEED_AT, true),
      drops: (view.getUint32(CFLAG_AT, true) & HUPCL) !== 0,
    };
  }
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}
