// Contract: what every Locks keeps to.
import { describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { SocketLocks } from '../../src/hardware/locks.ts';
import type { Locks } from '../../src/ports/locks.ts';
import { MemoryLocks } from '../../src/virtual/locks.ts';

const LOCKS: readonly (readonly [string, () => Locks])[] = [
  ['memory', () => new MemoryLocks()],
  ['sockets', () => new SocketLocks(`test-${randomUUID()}:`)],
];

describe.each(LOCKS)('Locks: %s', (_name, make) => {
  test('one holder per name; the second is told which lock is busy', async () => {
    const locks = make();
    const free = await locks.acquire('board:one');
    await expect(locks.acquire('board:one')).rejects.toMatchObject({ code: 'busy', place: 'board:one' });
    const other = await locks.acquire('board:two');
    await free();
    await (
      await locks.acquire('board:one')
    )();
    await other();
  });

  test('given back twice, it does not free the next holder', async () => {
    const locks = make();
    const free = await locks.acquire('x');
    await free();
    const next = await locks.acquire('x');
    await free();
    await expect(locks.acquire('x')).rejects.toMatchObject({ code: 'busy' });
    await next();
  });

  test('of many at once exactly one gets it', async () => {
    const locks = make();
    const tries = await Promise.allSettled(Array.from({ length: 8 }, () => locks.acquire('rush')));
    const won = tries.filter((one) => one.status === 'fulfilled');
    expect(won.length).toBe(1);
    await won[0]?.value();
  });

  test('a name of any length', async () => {
    const locks = make();
    const name = `board:${'n'.repeat(200)}`;
    const free = await locks.acquire(name);
    await expect(locks.acquire(name)).rejects.toMatchObject({ code: 'busy' });
    await (
      await locks.acquire(`${name}-other`)
    )();
    await free();
  });
});
