// Hardware, serial: the kernel's terminal interface in bytes. Linux include/uapi/asm-generic/termbits.h and ioctls.h
// (the same on x86, arm and arm64); checked by tests/hardware/serial-uapi.test.ts.

/** _IOR('T', 0x2A, struct termios2) */
export const TCGETS2 = 0x802c_542a;
/** _IOW('T', 0x2B, struct termios2) */
export const TCSETS2 = 0x402c_542b;
export const TCFLSH = 0x540b;
/** Both what came in and what waits to go out. */
export const TCIOFLUSH = 2;
export const TIOCEXCL = 0x540c;
/** LOCK_EX | LOCK_NB of include/uapi/asm-generic/fcntl.h. */
export const LOCK_EXCLUSIVE_NOW = 2 | 4;

/** In c_cflag. BOTHER: the speed is the number in c_ispeed and c_ospeed. */
const BOTHER = 0o010000;
const CS8 = 0o000060;
const CREAD = 0o000200;
const HUPCL = 0o002000;
const CLOCAL = 0o004000;
const IBSHIFT = 16;
/** In c_cc. */
const VMIN = 6;

export const newTermios = (): Uint8Array => new Uint8Array(44);

/**
 * struct termios2 for bytes as they are: 8 bits, no parity, one stop bit, no flow control, no echo. A read answers with
 * what is there (VMIN 1), so that nothing read means that the device has left.
 * @param dropsDtr DTR falls when the port is closed
 */
export function encodeTermios(baud: number, dropsDtr: boolean): Uint8Array {
  const bytes = newTermios();
  const view = new DataView(bytes.buffer);
  const flags = BOTHER | (BOTHER << IBSHIFT) | CS8 | CREAD | CLOCAL | (dropsDtr ? HUPCL : 0);
  view.setUint32(8, flags, true); // c_cflag
  bytes[17 + VMIN] = 1; // c_cc
  view.setUint32(36, baud, true); // c_ispeed
  view.setUint32(40, baud, true); // c_ospeed
  return bytes;
}
