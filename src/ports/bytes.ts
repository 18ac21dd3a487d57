/** A stream of bytes both ways: a serial port, or one CAN node. Chunks have no meaning. */
export interface ByteChannel {
  write(bytes: Uint8Array): Promise<void>;
  /** What has arrived, at least one byte; `undefined` when nothing came within `timeoutMs`. */
  read(timeoutMs: number): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

export interface SerialPorts {
  /** Opens a tty exclusively. Throws `busy` naming the holder, `device-gone`, or `no-hardware`. */
  open(path: string): Promise<ByteChannel>;
  /**
   * Asks the firmware on a tty to enter its bootloader: 1200 baud, and DTR falls as the port is closed. What comes of it,
   * if anything, shows on USB. Throws as `open` does.
   */
  touch1200(path: string): Promise<void>;
}
