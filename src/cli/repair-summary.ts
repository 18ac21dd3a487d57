// Command line: a repair in words.
import type { AnswerOf, METHODS } from '../methods/table.ts';
import { flashSummary } from './summaries.ts';

type Answer = AnswerOf<typeof METHODS.repair>;

export function repairSummary({ board, outcome, runs, flash }: Answer): readonly string[] {
  return [...WORDS[outcome](board, runs), ...(flash === null ? [] : flashSummary(flash))];
}

const WORDS: Readonly<Record<Answer['outcome'], (board: string, runs: string | null) => readonly string[]>> =
  {
    nothing: (board) => [`Nothing is owed to ${board}.`],
    runs: (board, runs) => [`${board} runs: ${runs}. Nothing was written.`],
    released: (board) => [`${board} was let go from its bootloader; nothing had been changed on it.`],
    finished: (board) => [`The interrupted flash of ${board} is finished.`],
    'rolled-back': (board) => [
      `The interrupted flash of ${board} could not be finished: what ran before is back.`,
    ],
  };
