/** A step that changes the board or its surroundings. */
export type Step =
  | { readonly kind: 'stop-klipper' }
  | { readonly kind: 'start-klipper' }
  | { readonly kind: 'power'; readonly device: string; readonly state: 'on' | 'off' }
  /** Into its bootloader, by whatever way; `boot` is out of it. */
  | { readonly kind: 'enter' }
  | { readonly kind: 'lines'; readonly levels: { readonly boot0?: string; readonly nrst?: string } }
  | { readonly kind: 'erase'; readonly address: number; readonly sizeBytes: number }
  | { readonly kind: 'write'; readonly address: number; readonly sizeBytes: number }
  | { readonly kind: 'boot' };

/** Puts a step on disk before it is done, so that the next start knows how far this one came. */
export interface Recorder {
  before(step: Step): Promise<void>;
}
