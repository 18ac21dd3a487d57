// Composition, what no file may show that leaves this host: keys, tokens and logins. Whatever looks like one goes.
const SECRET = '(secret)';
/** Moonraker: api_key, token, access_token, refresh_token, X-Api-Key, Authorization. */
const KEYS = '(?:x-)?api[_-]?key|[\\w-]*token|passw(?:or)?d|[\\w-]*secret|authorization';

const RULES: readonly (readonly [RegExp, string])[] = [
  // In JSON, and in JSON that is a string in JSON.
  [new RegExp(`("(?:${KEYS})"\\s*:\\s*)"(?:[^"\\\\]|\\\\.)*"`, 'gi'), `$1"${SECRET}"`],
  [new RegExp(`(\\\\"(?:${KEYS})\\\\"\\s*:\\s*)\\\\".*?[^\\\\]\\\\"`, 'gi'), `$1\\"${SECRET}\\"`],
  // A line of a configuration, to its end.
  [new RegExp(`^([^\\S\\n]*[#;]?[^\\S\\n]*(?:${KEYS})[^\\S\\n]*[:=][^\\S\\n]*)\\S.*$`, 'gim'), `$1${SECRET}`],
  // In a URL, a header, or a sentence.
  [
    new RegExp(`\\b((?:${KEYS})\\s*[:=]\\s*)(?:(?:bearer|basic)\\s+)?(?!\\(secret\\))[^\\s&"'\\\\,;]+`, 'gi'),
    `$1${SECRET}`,
  ],
  [/\b((?:bearer|basic)\s+)(?!\(secret\))[\w.~+/=-]{8,}/gi, `$1${SECRET}`],
  // A login before a host.
  [/(\/\/)[^\s/@"'\\]+@/g, `$1${SECRET}@`],
  // A JSON web token; and what Moonraker's API keys look like (uuid4().hex).
  [/\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]+)?/g, SECRET],
  [/(?<![\da-f])[\da-f]{32}(?![\da-f])/gi, SECRET],
];

/**
 * `text` without secrets.
 * @param known those that stand in the configuration: they go wherever they are, whatever they look like
 */
export function withoutSecrets(text: string, known: readonly string[] = []): string {
  let clean = text;
  for (const secret of known) clean = clean.replaceAll(secret, SECRET);
  for (const [rule, shown] of RULES) clean = clean.replaceAll(rule, shown);
  return clean;
}

/** Every value that a configuration has for such a key; what is too short to be one is none. */
export function secretsIn(configuration: string): readonly string[] {
  const line = new RegExp(
    `^[^\\S\\n]*[#;]?[^\\S\\n]*(?:${KEYS})[^\\S\\n]*[:=][^\\S\\n]*(\\S.*?)\\s*$`,
    'gim',
  );
  return [...configuration.matchAll(line)].map(([, value = '']) => value).filter(({ length }) => length >= 8);
}
