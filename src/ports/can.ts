// A CAN bus as the host sees it: classic frames with 11-bit identifiers, through one network interface.
import type { Unsubscribe } from './usb.ts';

export interface CanFrame {
  /** 11 bits. */
  readonly id: number;
  /** At most 8 bytes. */
  readonly data: Uint8Array;
}

/**
 * What the interface tells of itself, where its driver does: many are silent, so hearing nothing proves nothing.
 * `gone` and `down` are told by all and are final for this opening.
 */
export type CanTrouble = 'no-acknowledge' | 'disturbed' | 'bus-off' | 'gone' | 'down';

export interface CanBus {
  /**
   * `queued` when the frame is in the interface's queue: on the wire it is later, and never when nobody acknowledges
   * or the interface is bus-off. `full` (Linux's ENOBUFS: `txqueuelen` frames wait) when it was not taken: wait and
   * send the same frame again. Throws `no-device` when the interface is gone or down.
   */
  send(frame: CanFrame): Promise<'queued' | 'full'>;
  /** Hears the frames of others, those of other programs on this host included; not our own. */
  onFrame(listener: (frame: CanFrame) => void): Unsubscribe;
  onTrouble(listener: (trouble: CanTrouble) => void): Unsubscribe;
  /** Gives the interface back; a second call does nothing. */
  close(): Promise<void>;
}

export interface CanHost {
  /** @param interfaceName as Linux names it: `can0`. Throws `no-hardware` where it is absent or down, with the cure. */
  open(interfaceName: string): Promise<CanBus>;
}
