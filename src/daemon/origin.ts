// Daemon, where a request came from. Only the daemon's own socket is local; Moonraker passes on nobody's identity.

/**
 * `local` this host's user on the socket; `shell` the same program started by a G-code macro (--detach): whoever may
 * send G-code; `request` a client of Moonraker; `macro` a remote method that Klipper called, which hears no answer;
 * `start` the daemon itself, which brings to an end what was begun before it.
 */
export type Via = 'local' | 'shell' | 'request' | 'macro' | 'start';

export interface Origin {
  readonly via: Via;
  /** The printer through whose Moonraker it came. */
  readonly printer: string | undefined;
}

export function isRemote({ via }: Origin): boolean {
  return via !== 'local' && via !== 'start';
}
