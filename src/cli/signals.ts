// Command line: Ctrl-C, kill and a lost terminal become a request to the job, never the end of a write.

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs `work` and calls `onSignal` for every signal meanwhile; none of them ends the process. */
export async function withSignals<T>(onSignal: () => void, work: () => Promise<T>): Promise<T> {
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    return await work();
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}
