/** Time. The virtual bench replaces it, so nothing else may ask the system for it. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  now(): number;
  /** Calendar time in milliseconds since 1970, for records only. */
  date(): number;
  /** Resolves after `ms` milliseconds; rejects with an AbortError as soon as `signal` is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
