// What a reader of configuration refuses: code, place, message and advice, and all of it in ASCII.
import { expect } from '@jest/globals';
import { OctopusError } from '../../src/errors.ts';

/** The refusal of `read`; fails when it answers, or throws anything else. */
export function refused(read: () => unknown): { place: string | undefined; message: string; advice: string } {
  try {
    read();
  } catch (error) {
    return explained(error);
  }
  throw new Error('was not refused');
}

/** `read`'s answer, or undefined when it was refused as it should be; anything else fails. */
export function answerOrRefusal<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    explained(error);
    return undefined;
  }
}

function explained(error: unknown) {
  if (!(error instanceof OctopusError)) throw error;
  expect(['bad-config', 'bad-parameter']).toContain(error.code);
  expect(error.message).toMatch(/^[\x20-\x7e]+$/);
  expect(error.advice).toMatch(/^[\x20-\x7e]+$/);
  expect(error.place).toBeTruthy();
  return { place: error.place, message: error.message, advice: error.advice };
}
