// Klipper's .cfg of macros, taken apart far enough to see what is called with what. Written from Klipper's documents.
import { readFileSync } from 'node:fs';
import { KLIPPER } from '../../src/config/dialect.ts';
import { readDocument } from '../../src/config/sections.ts';

export interface Macro {
  readonly file: string;
  readonly name: string;
  readonly description: string;
  readonly gcode: string;
}

const folder = new URL('../../macros/', import.meta.url);

export const textOf = (file: string) => readFileSync(new URL(file, folder), 'latin1');

export function macrosOf(file: string, text = textOf(file)): Macro[] {
  return [...readDocument(text, file, KLIPPER).sections.values()]
    .filter(({ name }) => name.startsWith('gcode_macro '))
    .map(({ name, entries }) => ({
      file,
      name: name.slice('gcode_macro '.length),
      description: entries.get('description')?.value ?? '',
      gcode: entries.get('gcode')?.value ?? '',
    }));
}

/** The faults of a macro's text that need no Jinja to be seen. */
export function faultsOf({ name, description, gcode }: Macro): string[] {
  const faults: string[] = [];
  if (description === '') faults.push('no description');
  if (!/^[A-Z_]+$/.test(name)) faults.push('a name that Klipper may take apart');
  if (/params\s*\[|rawparams/.test(gcode)) faults.push('parameters that this cannot follow');
  for (const [use] of gcode.matchAll(/params\.\w+(?!\w|\|default\()/g))
    faults.push(`${use} without |default(`);
  for (const { args } of callsOf(gcode)) {
    if (args.some((arg) => !/^(\*\*)?[a-z_]+(=|$)/.test(arg) || !/^\*\*|=/.test(arg)))
      faults.push('a call with a positional argument');
  }
  // moonraker.md 4: these never arrive.
  for (const word of keywordsOf(gcode)) {
    if (['method', 'method_name', 'callback', 'self'].includes(word)) faults.push(`the keyword ${word}`);
  }
  return [...faults, ...unbalanced(gcode)];
}

/** Every remote call: its method, and its arguments behind it. */
export function callsOf(gcode: string): { method: string; args: string[] }[] {
  return [...gcode.matchAll(/action_call_remote_method\(([^()]*)\)/g)].map(([, inside = '']) => {
    const [method = '', ...args] = inside.split(',').map((part) => part.trim());
    return { method: /^"([^"]*)"$/.exec(method)?.[1] ?? method, args };
  });
}

/** Names that become parameters of a remote call: of the calls, and of the `dict(...)` that they are collected in. */
export function keywordsOf(gcode: string): string[] {
  const inside = [...gcode.matchAll(/\b(?:dict|action_call_remote_method)\(((?:[^()]|\([^()]*\))*)\)/g)];
  return inside.flatMap(([, args = '']) =>
    [...args.matchAll(/(?:^|,)\s*([a-z_]+)=/g)].map(([, word = '']) => word),
  );
}

/** Braces and `{% if %}` that are not closed, with strings skipped. */
function unbalanced(gcode: string): string[] {
  const faults: string[] = [];
  const plain = gcode.replaceAll(/\{%.*?%\}|\{[^{}%]*\}/gs, (tag) => tag.replaceAll(/"[^"]*"/g, '""'));
  const blocks: string[] = [];
  for (const [, word = ''] of plain.matchAll(/\{%\s*(\w+).*?%\}/gs)) {
    if (word === 'if' || word === 'for') blocks.push(`end${word}`);
    else if (word.startsWith('end') && blocks.pop() !== word) faults.push(`${word} without its begin`);
    else if (!['set', 'else', 'elif'].includes(word) && !word.startsWith('end'))
      faults.push(`the tag ${word}`);
  }
  if (blocks.length > 0) faults.push(`${blocks.join(', ')} is missing`);
  const rest = plain.replaceAll(/\{%.*?%\}|\{[^{}%]*\}/gs, '');
  if (/[{}]/.test(rest)) faults.push('a brace that is not closed');
  for (const [tag] of plain.matchAll(/\{%.*?%\}|\{[^{}%]*\}/gs)) {
    const open = tag.split('(').length;
    if (open !== tag.split(')').length) faults.push(`brackets in ${tag}`);
    if (tag.includes('"') && tag.split('"').length % 2 === 0) faults.push(`quotes in ${tag}`);
  }
  return faults;
}
