// What leaves this host shows no key, token or login, in whichever dress it comes.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { secretsIn, withoutSecrets } from '../../src/compose/secrets.ts';

const KEY = 'a1b2c3d4e5f60718293a4b5c6d7e8f90';
const CASES: readonly (readonly [string, string])[] = [
  [`api_key: ${KEY}\n`, 'api_key: (secret)\n'],
  ['  #api_key = my own words, with a comma\nboard: x', '  #api_key = (secret)\nboard: x'],
  ['password:hunter22\r\nx', 'password:(secret)\nx'],
  [`{"api_key":"${KEY}","x":1}`, '{"api_key":"(secret)","x":1}'],
  [
    '{"msg":"{\\"token\\":\\"q\\\\u0022w e\\",\\"x\\":1}"}',
    '{"msg":"{\\"token\\":\\"(secret)\\",\\"x\\":1}"}',
  ],
  ['{"token": "a \\" b", "board": "c"}', '{"token": "(secret)", "board": "c"}'],
  ['ws://h:7125/websocket?token=ABCDEF234&x=1', 'ws://h:7125/websocket?token=(secret)&x=1'],
  ['GET /?access_token=aa.bb-cc_dd HTTP', 'GET /?access_token=(secret) HTTP'],
  ['sent X-Api-Key: abc, Host: h', 'sent X-Api-Key: (secret), Host: h'],
  ['said Authorization: Bearer abc.def.ghi there', 'said Authorization: (secret) there'],
  ['bearer abcdefgh1234', 'bearer (secret)'],
  ['https://user:pass@example.com/x.git', 'https://(secret)@example.com/x.git'],
  ['jwt eyJhbGciOi.eyJpc3MiOi.c2ln end', 'jwt (secret) end'],
  [`the key ${KEY.toUpperCase()} alone`, 'the key (secret) alone'],
];

test.each(CASES)('%p', (text, shown) => {
  expect(withoutSecrets(text).replaceAll('\r', '')).toBe(shown);
});

test('what is none stays: hashes, chip ids, CAN uuids, serial numbers, words', () => {
  const text = [
    `sha256 ${'ab12'.repeat(16)}`,
    '390033001350344D30363120',
    'canbus_uuid: c9c22f2ff0db',
    'serial: /dev/serial/by-id/usb-Klipper_stm32f446xx_390033001350344D30363120-if00',
    'board: octopus-v1.1-f446 # no token here',
    'the lines are (secret) in nothing',
  ].join('\n');
  expect(withoutSecrets(text)).toBe(text);
});

test('a secret that the configuration names goes wherever it stands, even in the middle of a word', () => {
  const known = secretsIn(
    '[octopus-flasher]\napi_key: correct-horse\n[printer x]\n  api_key = battery-staple  \ntoken: no\n',
  );
  expect(known).toEqual(['correct-horse', 'battery-staple']);
  expect(withoutSecrets('xcorrect-horsey battery-staple', known)).toBe('x(secret)y (secret)');
});

test('any secret in any of these dresses is gone, and twice is the same as once', () => {
  const word = fc.stringMatching(/^[A-Za-z0-9_.~+/-]{8,40}$/);
  const dress = fc.constantFrom<(secret: string) => string>(
    (secret) => `api_key: ${secret}`,
    (secret) => JSON.stringify({ a: 1, access_token: secret, b: 2 }),
    (secret) => JSON.stringify({ line: JSON.stringify({ api_key: secret }) }),
    (secret) => `http://h/x?token=${encodeURIComponent(secret)}`,
    (secret) => `http://${secret.replaceAll('/', '_')}@h/x`,
    (secret) => `X-Api-Key: ${secret}`,
  );
  fc.assert(
    fc.property(word, dress, fc.string(), (secret, dressed, around) => {
      const text = `${around}\n${dressed(secret)}\n${around}`;
      const clean = withoutSecrets(text);
      if (!around.includes(secret))
        for (const form of [secret, encodeURIComponent(secret)]) expect(clean).not.toContain(form);
      expect(withoutSecrets(clean)).toBe(clean);
    }),
    { numRuns: 2000 },
  );
});
