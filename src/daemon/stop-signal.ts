// Daemon, the wish to stop: systemd's SIGTERM, or Ctrl-C in a terminal. Heard from the first moment and never an end
// by itself: a write that has begun runs to its end, however often it is said.

/** Resolves with the name of the first that comes. */
export function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => resolve(name));
  });
}
