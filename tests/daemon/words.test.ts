// What the console is told: whatever text comes in, Klipper gets one harmless command a line.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { notifyScriptOf, plain, sayEnd, sayRefusal, scriptOf } from '../../src/daemon/words.ts';
import { OctopusError } from '../../src/errors.ts';

const ALL = { respond: true, sayMacro: true, notifyMacro: true };
/** Printable ASCII without quotes, backslashes, comments, checksums and braces. */
const SAFE = '(?:(?!["\\\\;#*{}`])[ -~])*';
const LINE = new RegExp(`^(RESPOND TYPE=(error|command)|_OCTOPUS_SAY) MSG="Octopus: ${SAFE}"$`);
const NOTIFY = new RegExp(`^_OCTOPUS_NOTIFY NAME="${SAFE}" MSG="${SAFE}"$`);
const JOB = { job: 'j', method: 'octopus.flash', board: 'b', kind: 'ended', n: 9 } as const;

test('fuzz: one command a line, ASCII, nothing in it that Klipper would take for its own', () => {
  const nasty = fc.constantFrom(
    '"',
    "'",
    '\\',
    ';',
    '#',
    '*',
    '{',
    '}',
    '\n',
    '\r',
    '\0',
    '\u2028',
    '\u0085',
    '`',
    '%',
    'M112',
    ' ',
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.oneof(nasty, fc.string()), { maxLength: 400 }).map((all) => all.join('')),
  );
  fc.assert(
    fc.property(
      fc.array(text, { minLength: 1, maxLength: 40 }),
      fc.boolean(),
      fc.boolean(),
      text,
      (lines, isError, respond, notifier) => {
        const script = scriptOf({ isError, lines }, { ...ALL, respond }) ?? '';
        const commands = script.split('\n');
        expect(commands).toHaveLength(Math.min(30, lines.length));
        for (const command of commands) {
          expect(command).toMatch(LINE);
          expect(command.length).toBeLessThan(300);
        }
        expect(notifyScriptOf(notifier, { isError, lines })).toMatch(NOTIFY);
      },
    ),
    { numRuns: 500 },
  );
});

test('plain keeps what can be read and cuts what is long', () => {
  expect(plain('  say "it";\tnow\r\nM112 {x} \\ # * \u00fc\u{1F600} ')).toBe(
    "say 'it', now M112 ,x, ' , , ??",
  );
  expect(plain('x'.repeat(240))).toHaveLength(240);
  expect(plain('x'.repeat(241))).toBe(`${'x'.repeat(237)}...`);
});

test('RESPOND where it is there, the macro where not, nothing without either', () => {
  const saying = { isError: true, lines: ['a', 'b'] };
  expect(scriptOf(saying, ALL)).toBe(
    'RESPOND TYPE=error MSG="Octopus: a"\nRESPOND TYPE=error MSG="Octopus: b"',
  );
  expect(scriptOf({ ...saying, isError: false }, ALL)).toContain('TYPE=command');
  expect(scriptOf(saying, { ...ALL, respond: false })).toBe(
    '_OCTOPUS_SAY MSG="Octopus: a"\n_OCTOPUS_SAY MSG="Octopus: b"',
  );
  expect(scriptOf(saying, { ...ALL, respond: false, sayMacro: false })).toBeUndefined();
});

test('the end of a job: failed, cancelled, planned, done', () => {
  const error = {
    code: 'no-boot',
    message: 'it did not boot',
    advice: 'try again',
    onBoard: 'the old one',
  } as const;
  expect(sayEnd({ ...JOB, state: 'failed', error }, undefined)).toEqual({
    isError: true,
    lines: ['flash of b failed: it did not boot', 'the old one', 'try again'],
  });
  const { onBoard: _, ...bare } = error;
  expect(sayEnd({ ...JOB, state: 'cancelled', error: bare }, undefined)).toEqual({
    isError: false,
    lines: ['flash of b was cancelled.', 'try again'],
  });
  const planned = { state: 'planned', notes: ['mind the axis', 7] };
  expect(
    sayEnd({ ...JOB, method: 'octopus.unheard', state: 'done', result: planned }, 'from A to B'),
  ).toEqual({
    isError: false,
    lines: ['from A to B', 'mind the axis', 'Nothing was touched. To do it: CONFIRM=1.'],
  });
  const done = sayEnd(
    { ...JOB, method: 'octopus.reset', state: 'done', result: { state: 'done', board: 'b' } },
    undefined,
  );
  expect(done.lines.length).toBeGreaterThan(0);
  expect(sayEnd({ ...JOB, method: 'octopus.unheard', state: 'done', result: {} }, undefined).lines).toEqual(
    [],
  );
  expect(
    sayRefusal('octopus.flash', new OctopusError('not-armed', 'not armed', { advice: 'octopus arm' })),
  ).toEqual({
    isError: true,
    lines: ['flash: not armed', 'octopus arm'],
  });
});
