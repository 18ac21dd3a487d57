// Configuration: which of the words that exist was probably meant.

/** Nobody misspells a longer word than this; a longer text is compared with nothing. */
const MAX_LETTERS = 64;

/** The nearest of `words`, or undefined when none is near: at most a third of the letters may differ. */
export function nearest(given: string, words: readonly string[]): string | undefined {
  if (given.length > MAX_LETTERS) return undefined;
  let best: string | undefined;
  let bestDistance = Math.ceil(given.length / 3) + 1;
  for (const word of words) {
    const distance = editDistance(given.toLowerCase(), word.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [word, distance];
  }
  return best;
}

/** Levenshtein: letters to put in, take out or replace. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, replaced));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
