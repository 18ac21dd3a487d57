// The macros, without Klipper and without Jinja: what a look at their text can prove. tests/macros/render.py renders them.
import { describe, expect, test } from '@jest/globals';
import { METHODS } from '../../src/methods/table.ts';
import { VERBS } from '../../src/cli/verbs.ts';
import { callsOf, faultsOf, keywordsOf, macrosOf, textOf, type Macro } from './cfg.ts';

const NAMES = [
  'FLASH_OCTOPUS',
  'OCTOPUS_DFU_ENTER',
  'OCTOPUS_RESET',
  'OCTOPUS_CANBUS_QUERY',
  'OCTOPUS_STATUS',
];
/** The daemon's own: how it speaks when Klipper is back. */
const HIDDEN = ['_OCTOPUS_SAY', '_OCTOPUS_NOTIFY'];
const isHidden = ({ name }: Macro) => name.startsWith('_');
const FILES = ['octopus.cfg', 'octopus_shell.cfg'];
const all = FILES.flatMap((file) => macrosOf(file));

/** Parameters by method; the CAN query takes the one of the design's table. */
const TAKES = new Map<string, readonly string[]>([
  ['octopus.canbus_query', ['interface']],
  ...Object.values(METHODS)
    .filter(({ isLocal }) => !isLocal)
    .map(({ name, parameters }): [string, string[]] => [name, Object.keys(parameters)]),
]);

test.each(FILES)('%s: the macros, in ASCII, without a tab', (file) => {
  expect(macrosOf(file).map(({ name }) => name)).toEqual([...NAMES, ...HIDDEN]);
  expect(textOf(file)).toMatch(/^[\x20-\x7e\n]+\n$/);
});

test.each(all)('$file $name is sound', (macro) => {
  expect(faultsOf(macro)).toEqual([]);
});

test.each(all)(
  '$file $name: nothing that Klipper takes for a comment stands in its code',
  ({ file, name }) => {
    const from = textOf(file).indexOf(`[gcode_macro ${name}]`);
    const [text = ''] = textOf(file).slice(from).split('\n\n');
    expect(text).not.toMatch(/#|\s;/);
  },
);

test.each(all)('$file $name: every parameter is named in the description', ({ gcode, description }) => {
  for (const [, name = ''] of gcode.matchAll(/params\.(\w+)/g)) expect(description).toContain(`${name}=`);
});

test.each(macrosOf('octopus.cfg').filter((macro) => !isHidden(macro)))(
  '$name calls one method that exists, with parameters that it has',
  ({ gcode }) => {
    const calls = callsOf(gcode);
    expect(calls).toHaveLength(1);
    const takes = TAKES.get(calls[0]?.method ?? '');
    expect(takes).toBeDefined();
    for (const word of keywordsOf(gcode)) expect(takes).toContain(word);
  },
);

test.each(macrosOf('octopus_shell.cfg').filter((macro) => !isHidden(macro)))(
  '$name runs one verb that exists, with options that it has',
  ({ gcode }) => {
    const [, verb = ''] = /(?:set words = |PARAMS=)"([a-z-]+)/.exec(gcode) ?? [];
    const method =
      VERBS.find(({ name }) => name === verb)?.method.name ?? `octopus.${verb.replaceAll('-', '_')}`;
    const takes = TAKES.get(method) ?? [];
    expect(takes).not.toEqual([]);
    for (const [, option = ''] of gcode.matchAll(/ --([a-z-]+)/g)) {
      if (option !== 'detach') expect(takes).toContain(option.replaceAll('-', '_'));
    }
    expect(gcode.match(/RUN_SHELL_COMMAND CMD=octopus PARAMS="/g)).toHaveLength(1);
  },
);

test('what changes a board is detached; what only asks is not', () => {
  for (const { name, gcode } of macrosOf('octopus_shell.cfg').filter((macro) => !isHidden(macro))) {
    expect(gcode.includes('--detach')).toBe(!/STATUS|QUERY/.test(name));
  }
});

test("what the daemon speaks with is the same in both files, and a notifier is Moonraker's own method", () => {
  const [ours, others] = FILES.map((file) =>
    macrosOf(file)
      .filter(isHidden)
      .map(({ name, description, gcode }) => ({ name, description, gcode })),
  );
  expect(ours).toEqual(others);
  expect(ours?.flatMap(({ gcode }) => callsOf(gcode))).toEqual([
    { method: 'notify', args: ['name=name', 'message=msg'] },
  ]);
});

describe('FLASH_OCTOPUS only plans unless CONFIRM is 1', () => {
  test.each(FILES)('%s', (file) => {
    const gcode = macrosOf(file)[0]?.gcode ?? '';
    expect(gcode).toContain('{% set dry = params.CONFIRM|default("0")|string|trim != "1" %}');
    expect(gcode).toMatch(/dict\(dry_run=dry,|\{% if dry %\}\{% set words = words ~ " --dry-run" %\}/);
  });
});

test('the extension gets a command, time, and leave to speak', () => {
  expect(textOf('octopus_shell.cfg')).toMatch(
    /^\[gcode_shell_command octopus\]\ncommand: ~\/\S+\/bin\/octopus\ntimeout: \d+\nverbose: True$/m,
  );
});

describe('the look sees', () => {
  const good: Macro = {
    file: 'x',
    name: 'X',
    description: 'd',
    gcode: '{action_call_remote_method("m", a=1)}',
  };
  test.each<[string, Partial<Macro>, RegExp]>([
    ['a parameter without default', { gcode: '{params.X}' }, /params\.X without/],
    ['a default that comes later', { gcode: '{params.X|int|default(1)}' }, /params\.X without/],
    ['a parameter by index', { gcode: '{params["X"]|default(1)}' }, /cannot follow/],
    ['a forbidden keyword', { gcode: '{action_call_remote_method("m", callback=1)}' }, /keyword callback/],
    ['a forbidden keyword in a dict', { gcode: '{% set o = dict(o, self=f(1)) %}' }, /keyword self/],
    ['a positional argument', { gcode: '{action_call_remote_method("m", board)}' }, /positional/],
    ['no description', { description: '' }, /description/],
    ['an open brace', { gcode: 'M118 {x' }, /brace/],
    ['a brace too many', { gcode: 'M118 {x}}' }, /brace/],
    ['an open if', { gcode: '{% if x %}' }, /endif is missing/],
    ['an end too many', { gcode: '{% endif %}' }, /without its begin/],
    ['an open bracket', { gcode: '{f(x}' }, /brackets/],
    ['an open quote', { gcode: '{f("x)}' }, /quotes/],
    ['a tag of an extension', { gcode: '{% do x.append(1) %}' }, /tag do/],
  ])('%s', (_, change, fault) => {
    expect(faultsOf({ ...good, ...change }).join('\n')).toMatch(fault);
  });

  test('nothing where nothing is', () => {
    expect(faultsOf(good)).toEqual([]);
  });
});
