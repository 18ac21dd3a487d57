// What a board starts, and when a bootloader that is put back would leave it with nothing that does: a table.
import { describe, expect, test } from '@jest/globals';
import { OctopusError } from '../../src/errors.ts';
import { judgeBoot, whatBoots, type Residents } from '../../src/firmware/boot-rules.ts';
import { NOTHING_KNOWN, type Resident } from '../../src/firmware/passport.ts';

const BASE = 0x08000000;
const APP = 0x08008000;
const OTHER = 0x08010000;

const resident = (kind: Resident['kind'], address: number, more: Partial<Resident> = {}): Resident => ({
  ...NOTHING_KNOWN,
  sizeBytes: null,
  sha256: null,
  kind,
  address,
  ...more,
});
const stock = resident('stock-bootloader', BASE);
const katapult = resident('katapult', BASE, { launchAddress: APP });
const elsewhere = resident('katapult', BASE, { launchAddress: OTHER });
const klipper = resident('klipper', APP, { version: 'v1' });
const there = resident('klipper', OTHER, { version: 'v1' });
const bare = resident('klipper', BASE, { version: 'v1' });
const blank = (address: number) => resident('blank', address);
const marlin = resident('unknown', APP);
const strange = resident('unknown', BASE);
const torn = (one: Resident): Resident => ({ ...one, damage: 'torn' });
const cut = (one: Resident): Resident => ({ ...one, isCut: true });
const pair = (atBase: Resident, application: Resident): Residents => ({ atBase, application });

describe('what boots', () => {
  test.each<[string, Residents, Resident | undefined]>([
    ['an application behind its bootloader', pair(stock, klipper), klipper],
    ['also one that nobody knows', pair(stock, marlin), marlin],
    ['a Klipper without a bootloader', pair(bare, blank(APP)), bare],
    ['behind something unknown a Klipper', pair(strange, klipper), klipper],
    ['something unknown, where nothing else does', pair(strange, marlin), strange],
    ['a bootloader alone: nothing', pair(stock, blank(APP)), undefined],
    ['a torn application: nothing', pair(stock, torn(klipper)), undefined],
    ['half an application: nothing', pair(stock, cut(klipper)), undefined],
    ['an application behind nothing: nothing', pair(blank(BASE), klipper), undefined],
    ['an application behind a torn bootloader: nothing', pair(torn(katapult), klipper), undefined],
    ['a bootloader behind a bootloader: nothing', pair(stock, { ...katapult, address: APP }), undefined],
  ])('%s', (_, residents, expected) => {
    expect(whatBoots(residents)).toBe(expected);
  });
});

describe('a bootloader goes back', () => {
  type Verdict = 'refused' | Resident | undefined;
  function verdict(now: Residents, after: Residents, bringsApplication = false): Verdict {
    try {
      return judgeBoot({ now, after, bringsApplication, usual: APP });
    } catch (error) {
      if (!(error instanceof OctopusError) || error.code !== 'nothing-would-boot') throw error;
      expect(error.advice).toMatch(/application|whole backup/);
      return 'refused';
    }
  }

  test.each<[string, Residents, Residents, Verdict]>([
    ['over another that launches the same place', pair(katapult, klipper), pair(stock, klipper), klipper],
    [
      'the same again, nothing behind it before and after',
      pair(stock, blank(APP)),
      pair(katapult, blank(APP)),
      undefined,
    ],
    ['a torn application behind both', pair(stock, torn(klipper)), pair(katapult, torn(klipper)), undefined],
    ['over a Klipper without a bootloader', pair(bare, blank(APP)), pair(stock, blank(APP)), 'refused'],
    // Half of it was read: it may be whole.
    [
      'over one of which only the beginning was read',
      pair(cut(bare), blank(APP)),
      pair(stock, blank(APP)),
      'refused',
    ],
    ['over one, with an older one behind it', pair(bare, klipper), pair(stock, klipper), 'refused'],
    ['over a torn one', pair(torn(bare), blank(APP)), pair(stock, blank(APP)), undefined],
    ['over a torn one, with a whole one behind it', pair(torn(bare), klipper), pair(stock, klipper), klipper],
    ['over one that launches elsewhere', pair(elsewhere, there), pair(stock, blank(APP)), 'refused'],
    [
      'the same, with an older one where the new one launches',
      pair(elsewhere, there),
      pair(stock, klipper),
      'refused',
    ],
    [
      'over one that launches elsewhere, where nothing lies',
      pair(elsewhere, blank(OTHER)),
      pair(stock, blank(APP)),
      undefined,
    ],
    ['one that launches elsewhere', pair(stock, klipper), pair(elsewhere, blank(OTHER)), 'refused'],
    ['onto a blank chip', pair(blank(BASE), blank(APP)), pair(stock, blank(APP)), undefined],
    ['onto a torn bootloader', pair(torn(katapult), klipper), pair(stock, klipper), klipper],
    [
      'over something unknown, with a Klipper behind it',
      pair(strange, klipper),
      pair(stock, klipper),
      klipper,
    ],
    ['over something unknown', pair(strange, blank(APP)), pair(stock, blank(APP)), 'refused'],
    [
      'over something unknown, with something unknown behind it',
      pair(strange, marlin),
      pair(stock, marlin),
      'refused',
    ],
  ])('%s', (_, now, then, expected) => {
    expect(verdict(now, then)).toBe(expected);
  });

  test('with what it is to launch it may go anywhere; with a torn one it may not', () => {
    for (const now of [pair(bare, blank(APP)), pair(elsewhere, there), pair(strange, marlin)]) {
      expect(verdict(now, pair(stock, klipper), true)).toBe(klipper);
      expect(verdict(now, pair(stock, torn(klipper)), true)).toBe('refused');
    }
  });
});
