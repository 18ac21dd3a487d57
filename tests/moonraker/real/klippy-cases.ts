// What the macros are given, and what must come of it.

/** What a log may hold, and G-code stumbles over. */
export const HARD = [
  'a;b # c * d',
  'say "it" \\ `now`',
  '{action_emergency_stop()} {% x %}',
  '\u00e4\u00f6\u00fc \u{1f419}',
  'x'.repeat(500),
];
const LONG = 'x'.repeat(500);
/** As parameters of any macro that takes a text; all are refused by the macro or by Klipper's own reading. */
export const WRONG = [
  '"a b"',
  `"a'b"`,
  "'a\"b'",
  '"a',
  'bo\u00e4rd',
  '\u0663',
  LONG,
  '{printer}',
  '{',
  '{%',
  '$(reboot)',
  '`id`',
  'a=b',
  'a\\\\b',
  '"a#b"',
];
export const PARAMETERS = [
  'FLASH_OCTOPUS BOARD',
  'FLASH_OCTOPUS IMAGE',
  'FLASH_OCTOPUS SEEN',
  'FLASH_OCTOPUS FORCE',
  'OCTOPUS_DFU_ENTER BOARD',
  'OCTOPUS_DFU_ENTER SEEN',
  'OCTOPUS_DFU_ENTER HOLD',
  'OCTOPUS_RESET BOARD',
  'OCTOPUS_RESET SEEN',
  'OCTOPUS_CANBUS_QUERY INTERFACE',
  'OCTOPUS_STATUS BOARD',
];

const PLAN = { dry_run: true, replace_bootloader: false };
/** A script, the method that it asks for, and with what. */
export const ASKED: [string, string, object][] = [
  ['FLASH_OCTOPUS', 'flash', PLAN],
  ['FLASH_OCTOPUS CONFIRM=2', 'flash', PLAN],
  ['FLASH_OCTOPUS CONFIRM=', 'flash', PLAN],
  ['FLASH_OCTOPUS CONFIRM="ja \u00e4"', 'flash', PLAN],
  ['FLASH_OCTOPUS BOARD= IMAGE="" NOTHING="x y"', 'flash', PLAN],
  ['flash_octopus board=main', 'flash', { ...PLAN, board: 'main' }],
  ['FLASH_OCTOPUS CONFIRM=1', 'flash', { dry_run: false, replace_bootloader: false }],
  [
    'FLASH_OCTOPUS CONFIRM=1 BOARD=octopus-v1.1-f446 IMAGE=~/fw/k_1.bin SEEN=cold,,still FORCE=unknown-kind REPLACE_BOOTLOADER=1',
    'flash',
    {
      dry_run: false,
      replace_bootloader: true,
      board: 'octopus-v1.1-f446',
      image: '~/fw/k_1.bin',
      confirm: ['cold', 'still'],
      force: ['unknown-kind'],
    },
  ],
  ['OCTOPUS_DFU_ENTER', 'dfu_enter', { hold_s: 30 }],
  [
    'OCTOPUS_DFU_ENTER HOLD=60 BOARD=main SEEN=cold',
    'dfu_enter',
    { hold_s: 60, board: 'main', confirm: ['cold'] },
  ],
  ['OCTOPUS_RESET', 'reset', {}],
  ['OCTOPUS_RESET BOARD=main SEEN=still', 'reset', { board: 'main', confirm: ['still'] }],
  ['OCTOPUS_CANBUS_QUERY', 'canbus_query', { interface: 'can0' }],
  ['OCTOPUS_CANBUS_QUERY INTERFACE=can1', 'canbus_query', { interface: 'can1' }],
  ['OCTOPUS_STATUS', 'status', {}],
  ['OCTOPUS_STATUS BOARD=main', 'status', { board: 'main' }],
];

/** A script, and the words that the command line gets. */
export const WORDS: [string, string][] = [
  ['FLASH_OCTOPUS', 'flash --detach --dry-run'],
  [
    'FLASH_OCTOPUS CONFIRM=1 BOARD=main IMAGE=~/fw/k_1.bin SEEN=cold,still FORCE=unknown-kind REPLACE_BOOTLOADER=1',
    'flash --detach --replace-bootloader --board=main --image=~/fw/k_1.bin --confirm=cold,still --force=unknown-kind',
  ],
  ['OCTOPUS_DFU_ENTER BOARD=main SEEN=cold', 'dfu-enter --detach --hold-s=30 --board=main --confirm=cold'],
  ['OCTOPUS_RESET BOARD=main SEEN=cold', 'reset --detach --board=main --confirm=cold'],
  ['OCTOPUS_CANBUS_QUERY', 'canbus-query --interface=can0'],
  ['OCTOPUS_STATUS BOARD=main', 'status --board=main'],
];
