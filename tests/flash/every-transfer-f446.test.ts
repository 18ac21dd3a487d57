import { expect, test } from '@jest/globals';
import { expectSafe, failureOf, flashBytes, klipperFor, setUp } from '../support/bench.ts';
import { testEveryTransfer } from '../support/every-transfer.ts';

testEveryTransfer('octopus-v1.1-f446');

test('unplugged in the middle of the first whole read, the store holds no half backup', async () => {
  const rig = await setUp();
  rig.bench.faults.beforeTransfer = (n) => (n === 150 ? 'unplug' : undefined);
  const failure = await failureOf(flashBytes(rig, klipperFor(rig)));
  expect(failure).toMatchObject({ code: 'device-gone', onBoard: expect.stringContaining('not changed') });
  expect(await rig.kit.store.list('backups')).toEqual([]);
  expectSafe(rig);
  rig.bench.dispose();
});
