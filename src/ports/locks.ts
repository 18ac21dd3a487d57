/** One job per board on this host, whichever process runs it. */
export interface Locks {
  /** Takes `name`, or throws `busy`. The returned function gives it back; a dead process holds nothing. */
  acquire(name: string): Promise<() => Promise<void>>;
}
