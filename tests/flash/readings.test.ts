// What nobody has seen a real chip do is a setting of the virtual one. The walk must pass with every reading of each.
import { describe, expect, test } from '@jest/globals';
import { kindRomSettings, type RomSettings } from '../../src/virtual/silicon/rom-settings.ts';
import { expectSafe, flashBytes, klipperFor, setUp, TWO_BOARDS } from '../support/bench.ts';

const slow = { eraseMs: 1000, massEraseMs: 1000, setAddressMs: 104, writeMs: 104 };
/** Complete by its type: a new setting without its readings does not compile. */
const EVERY_READING: { readonly [K in keyof RomSettings]: readonly RomSettings[K][] } = {
  coldStart: ['error-firmware', 'idle'],
  pollTimeouts: [
    slow,
    { ...slow, eraseMs: 100, massEraseMs: 100 },
    { eraseMs: 1, massEraseMs: 1, setAddressMs: 1, writeMs: 1 },
  ],
  heldRequest: ['dnload', 'first-getstatus', 'second-getstatus', 'none'],
  blockStride: ['own-length', 'transfer-size'],
  clrStatusOutsideError: ['stall', 'error-unknown', 'accepted'],
  serialAddend: [0, 0x0a],
  claimsLargestFlash: [true, false],
  beyondFlash: ['refused', 'silent'],
  systemInfo: ['refused', 'readable'],
  otherAlts: ['refused', 'readable', 'hang'],
  setAddressWhenProtected: ['errVENDOR', 'accepted'],
  eraseBadAddress: ['errADDRESS', 'errTARGET'],
  flashErrors: ['silent', 'reported'],
  uploadPastEnd: ['stall', 'short'],
  eccRead: ['hang', 'garbage'],
  lastWord: ['stale-bytes', 'lost', 'padded'],
  eraseMovesPointer: [true, false],
  unprotectOfOpenChip: ['mass-erase', 'nothing'],
  massEraseEnd: ['ok', 'errUNKNOWN'],
  readBeforeWrite: ['off', 'healed-by-erase', 'lasting'],
  lastingBusy: ['off', 'after-erase'],
  leave: ['manifest', 'stall-getstatus', 'at-dnload'],
  leaveWithoutAddress: ['error', 'flash-base'],
  leaveDelayMs: [0, 300],
  stuckOnLeave: [true, false],
};
const single = Object.entries(EVERY_READING).flatMap(([key, values]) =>
  values.map((value) => [key, value] as const),
);

async function flashTwice(board: string, rom: Partial<RomSettings>): Promise<void> {
  const rig = await setUp({ board, rom });
  const first = await flashBytes(rig, klipperFor(rig, { version: 'v0.13.0-1', seed: 3 }));
  expect(first).toMatchObject({ state: 'done', verified: true, version: 'v0.13.0-1' });
  const second = await flashBytes(rig, klipperFor(rig, { version: 'v0.13.0-2', seed: 4 }));
  expect(second).toMatchObject({ state: 'done', verified: true, previousVersion: 'v0.13.0-1' });
  expect(rig.bench.board.klipper?.version).toBe('v0.13.0-2');
  expectSafe(rig);
  rig.bench.dispose();
}

describe.each(TWO_BOARDS)('%s', (board) => {
  // The H7's fault is not an F4's, and an F446 was seen to name its true size by several people.
  const onlyH7 = new Set(['readBeforeWrite', 'claimsLargestFlash', 'lastingBusy']);
  test.each(single.filter(([key]) => !onlyH7.has(key) || board.includes('h723')))(
    '%s = %s',
    async (key, value) => {
      await flashTwice(board, { [key]: value });
    },
  );

  test('all of them the kind way', async () => {
    await flashTwice(board, kindRomSettings(board.includes('h723') ? 'stm32h723xx' : 'stm32f446xx'));
  });
});
