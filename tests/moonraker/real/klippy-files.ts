// What a test and the stand-in for Klippy share: two files. No code of the product.

/** klippy.json: what it says of itself. */
export interface KlippySays {
  /** That it reaches when it has started: ready, error, shutdown. */
  readonly state: string;
  readonly message: string;
  /** The printer's objects, without `webhooks`. */
  readonly objects: Readonly<Record<string, object>>;
  /** From its start to that state, and from SIGTERM to its end. */
  readonly startMs: number;
  readonly stopMs: number;
  /** Its printer.cfg, if that is not beside klippy.json. */
  readonly configFile?: string;
}

/** klippy.log: what it lived through, at its own time (Date.now). */
export interface KlippyLine {
  readonly time: number;
  readonly what: 'started' | 'state' | 'script' | 'remote-method' | 'ended';
  readonly state?: string;
  readonly script?: string;
  readonly method?: string;
}
