// Daemon, an answer in words: the same that the command line prints.
import { VERBS } from '../cli/verbs.ts';

/** Empty for a method that has no words. */
export function summaryOf(method: string, answer: object): readonly string[] {
  return VERBS.find((verb) => verb.method.name === method)?.summarize(answer) ?? [];
}
