// Moonraker, JSON from outside: never deeper than anybody means it. Whatever walks a value by recursion, JSON.stringify
// among it, ends in a RangeError some thousand levels down: in the middle of a socket's event that is the daemon's end.

/** A request of ours has three levels, Klipper's whole configuration five. */
export const MAX_DEPTH = 64;

export type Parsed =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'no-json' }
  | { readonly kind: 'too-deep' };

export function parseJson(text: string): Parsed {
  if (isTooDeep(text)) return { kind: 'too-deep' };
  try {
    return { kind: 'value', value: JSON.parse(text) };
  } catch {
    return { kind: 'no-json' };
  }
}

/** Brackets outside of strings; of what is no JSON it does not matter. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const sign = text.charAt(at);
    if (sign === '"') at = endOfString(text, at);
    else if (sign === '[' || sign === '{') depth += 1;
    else if (sign === ']' || sign === '}') depth -= 1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

function endOfString(text: string, begin: number): number {
  let at = begin + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}
