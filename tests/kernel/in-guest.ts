// `node --import .../in-guest.ts FILE` runs a test file in the guest: jest itself takes half a minute there before its
// first test, so its functions are node's runner and jest's own `expect` here.
import { expect } from 'expect';
import { registerHooks } from 'node:module';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { format } from 'node:util';

type Body = (...args: unknown[]) => unknown;

/** `test.each`: a row is one argument, or several; the title takes as many of them as it has places. */
const each =
  (one: (title: string, body: () => unknown, timeoutMs?: number) => unknown) =>
  (rows: readonly unknown[]) =>
  (title: string, body: Body, timeoutMs?: number): void => {
    for (const row of rows) {
      const values: unknown[] = Array.isArray(row) ? row : [row];
      const places = title.match(/%[sdifjoOp]/g)?.length ?? 0;
      one(
        format(title.replaceAll('%p', '%o'), ...values.slice(0, places)),
        async () => body(...values),
        timeoutMs,
      );
    }
  };
const timed = (title: string, body: Body, timeout = 60_000) =>
  void test(title, { timeout }, async () => {
    await body();
  });

const globals = {
  expect,
  describe: Object.assign((title: string, body: () => void) => void describe(title, body), {
    each: each((title, body) => void describe(title, () => void body())),
  }),
  test: Object.assign(timed, { each: each(timed) }),
  it: timed,
  beforeAll: before,
  afterAll: after,
  beforeEach,
  afterEach,
};
Object.assign(globalThis, { octopusTestGlobals: globals });
const source = Object.keys(globals)
  .map((name) => `export const ${name} = globalThis.octopusTestGlobals.${name};`)
  .join('\n');

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === '@jest/globals'
      ? {
          url: `data:text/javascript,${encodeURIComponent(source)}`,
          format: 'module',
          shortCircuit: true,
        }
      : next(specifier, context),
});
