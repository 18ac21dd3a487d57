import { expect, test } from '@jest/globals';
import { defaultRomSettings, kindRomSettings } from '../../../src/virtual/silicon/rom-settings.ts';
import type { McuName } from '../../../src/virtual/silicon/silicon.ts';

/** What was observed on the part itself, or cannot differ there: the kind bench does not soften it. */
const SAME: Readonly<Record<McuName, readonly string[]>> = {
  stm32f446xx: [
    'claimsLargestFlash',
    'coldStart',
    'lastingBusy',
    'leave',
    'massEraseEnd',
    'pollTimeouts',
    'readBeforeWrite',
    'serialAddend',
    'stuckOnLeave',
  ],
  stm32f429xx: ['lastingBusy', 'leave', 'massEraseEnd', 'pollTimeouts', 'readBeforeWrite', 'stuckOnLeave'],
  stm32f407xx: ['lastingBusy', 'leave', 'pollTimeouts', 'readBeforeWrite', 'serialAddend', 'stuckOnLeave'],
  stm32h723xx: [
    'claimsLargestFlash',
    'coldStart',
    'lastingBusy',
    'massEraseEnd',
    'serialAddend',
    'stuckOnLeave',
  ],
};

test.each(Object.entries(SAME) as [McuName, string[]][])(
  '%s: the kind bench turns every unproven reading and nothing else',
  (mcu, expected) => {
    const kind: Record<string, unknown> = { ...kindRomSettings(mcu) };
    const same = Object.entries(defaultRomSettings(mcu)).filter(
      ([key, value]) => JSON.stringify(kind[key]) === JSON.stringify(value),
    );
    expect(same.map(([key]) => key).sort()).toEqual(expected);
  },
);
