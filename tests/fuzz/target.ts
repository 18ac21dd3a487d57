// What a fuzz target is: inputs that follow from chance, and what must hold for each of them.
import { OctopusError, type ErrorCode } from '../../src/errors.ts';
import { Random } from './random.ts';

/** How an input was met: `taken`, or the code of its refusal, or another short word. Counted, so that it shows. */
export type Fate = string;

export interface Target<I = unknown> {
  readonly name: string;
  /** Is of bytes, whatever it is made of: to look at, and for a file. */
  readonly show: (input: I) => Uint8Array;
  /** The same for the same chance. */
  readonly input: (random: Random) => I;
  /** Throws where it does not hold. */
  readonly check: (input: I) => Fate | Promise<Fate>;
  /** Fates that a few thousand inputs must meet: a target that has them all refused at the first check shows nothing. */
  readonly fates: readonly Fate[];
}

/** So that every target can stand in one list. */
export function target<I>(one: Target<I>): Target {
  return one as unknown as Target;
}

/** Of two targets with the same seed no two inputs share their chance. */
export function randomFor(name: string, seed: number, n: number): Random {
  let hash = 0;
  for (const letter of name) hash = Math.imul(hash, 31) + letter.charCodeAt(0);
  return new Random(hash, seed, n);
}

/** Something that must hold does not. */
export class Broken extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Broken';
  }
}

export function holds(isTrue: boolean, otherwise: string): asserts isTrue {
  if (!isTrue) throw new Broken(otherwise);
}

/** The answer of `work`, or the code of its refusal, which must be one of `codes` with all that a user needs. */
export function answerOr<T>(codes: readonly ErrorCode[], work: () => T): { answer: T } | { code: ErrorCode } {
  try {
    return { answer: work() };
  } catch (error) {
    return { code: refusalCode(error, codes) };
  }
}

/** No error's words are longer, whatever they repeat of the input. */
const LONGEST_MESSAGE = 2000;

/** Throws whatever is no refusal with one of `codes`. */
export function refusalCode(error: unknown, codes: readonly ErrorCode[]): ErrorCode {
  if (!(error instanceof OctopusError)) throw error;
  holds(codes.includes(error.code), `refused as ${error.code}: ${error.message}`);
  holds(error.message !== '' && error.advice !== '', `${error.code} says nothing, or has no advice`);
  holds(error.message.length < LONGEST_MESSAGE, `${error.code} says ${error.message.length} letters`);
  holds(error.advice.length < LONGEST_MESSAGE, `${error.code} advises ${error.advice.length} letters`);
  return error.code;
}
