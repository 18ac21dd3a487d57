// The adapters for files, in the guest: store and locks keep their contracts on another kernel and file system.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Guest } from './guest.ts';
import { testsInGuest } from './guest-tests.ts';

let guest: Guest;
beforeAll(async () => {
  guest = await Guest.boot();
});
afterAll(async () => guest?.stop());

test.each([
  'tests/contract/store.test.ts',
  'tests/contract/locks.test.ts',
  'tests/hardware/store.test.ts',
  'tests/hardware/locks.test.ts',
])('%s', async (file) => {
  expect(await testsInGuest(guest, file)).toBeGreaterThan(1);
});
