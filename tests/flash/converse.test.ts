import { describe, expect, test } from '@jest/globals';
import { converse } from '../../src/flash/converse.ts';

/** Asks for `count` numbers, and counts how it ends. */
function* adder(count: number, log: string[]): Generator<string, number, number> {
  let sum = 0;
  try {
    for (let n = 1; n <= count; n++) sum += yield `number ${n}`;
    return sum;
  } finally {
    log.push('settled');
  }
}

test('each answer goes to the question it was asked for, and the return value comes back', async () => {
  const asked: string[] = [];
  const sum = await converse(adder(3, []), async (question) => {
    asked.push(question);
    return asked.length * 10;
  });
  expect(sum).toBe(60);
  expect(asked).toEqual(['number 1', 'number 2', 'number 3']);
});

test('a core that asks nothing is never answered', async () => {
  expect(await converse(adder(0, []), () => Promise.reject(new Error('asked')))).toBe(0);
});

test('the next question waits for the answer before', async () => {
  let underWay = 0;
  await converse(adder(3, []), async () => {
    expect(++underWay).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    underWay--;
    return 1;
  });
});

describe('an exception ends the talk', () => {
  const lost = new Error('device gone');

  test('from the one who performs: nothing more is asked', async () => {
    let asked = 0;
    const talk = converse(adder(3, []), () => {
      asked++;
      return Promise.reject(lost);
    });
    await expect(talk).rejects.toBe(lost);
    expect(asked).toBe(1);
  });

  test('from the core itself', async () => {
    const core = function* broken(): Generator<string, number, number> {
      yield 'one';
      throw lost;
    };
    await expect(converse(core(), async () => 1)).rejects.toBe(lost);
  });
});

describe('cancelled', () => {
  test('between two questions: the one under way is finished, the next is not asked', async () => {
    const cancel = new AbortController();
    const asked: string[] = [];
    const talk = converse(
      adder(3, []),
      async (question) => {
        asked.push(question);
        if (asked.length === 2) cancel.abort();
        return 1;
      },
      cancel.signal,
    );
    await expect(talk).rejects.toMatchObject({ name: 'AbortError' });
    expect(asked).toEqual(['number 1', 'number 2']);
  });

  test('before it began: nothing is asked', async () => {
    const talk = converse(adder(1, []), () => Promise.reject(new Error('asked')), AbortSignal.abort());
    await expect(talk).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('after the last answer: the result counts', async () => {
    const cancel = new AbortController();
    const talk = converse(
      adder(1, []),
      async () => {
        cancel.abort();
        return 7;
      },
      cancel.signal,
    );
    expect(await talk).toBe(7);
  });
});
