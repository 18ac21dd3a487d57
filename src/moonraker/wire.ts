// Moonraker, the wire: whole JSON texts both ways, whatever carries them.

/** Moonraker closes a Unix-socket connection whose message is longer (moonraker/components/extensions.py). */
export const UNIX_LIMIT_BYTES = 20 * 1024 * 1024;
/** Tornado closes a WebSocket whose message is longer (its default `max_message_size`). */
export const WEBSOCKET_LIMIT_BYTES = 10 * 1024 * 1024;
/** So much of a message that is too long is kept: its id is in there, so that its caller can be answered. */
export const HEAD_BYTES = 4096;

export interface WireListener {
  /** One whole message. */
  message(text: string): void;
  /** A message over the limit, thrown away but for its first bytes. */
  tooLong(head: string, sizeBytes: number): void;
  /** Once, and nothing after it; also after a `close()` of ours. */
  closed(reason: string): void;
}

export interface Wire {
  /**
   * Queues one message; nothing happens on a closed wire.
   * Throws RangeError for one that is longer than Moonraker takes: it would cost the connection.
   */
  send(text: string): void;
  close(reason: string): void;
}

/** Opens connections to one Moonraker. */
export interface Dialer {
  /** For messages: a path or an address. */
  readonly place: string;
  /** The listener hears everything from the first byte on. Rejects with the system's error, or when aborted. */
  connect(listener: WireListener, signal: AbortSignal): Promise<Wire>;
}

/** Throws RangeError. */
export function checkLength(sizeBytes: number, limitBytes: number): void {
  if (sizeBytes <= limitBytes) return;
  throw new RangeError(`a message of ${sizeBytes} bytes is over the limit of ${limitBytes}`);
}
