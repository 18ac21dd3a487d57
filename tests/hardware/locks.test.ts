// Locks between processes: the kernel gives a dead process's lock back, and the refusal names the living one.
import { expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { SocketLocks } from '../../src/hardware/locks.ts';

const MODULE = new URL('../../src/hardware/locks.ts', import.meta.url).href;

test('another process holds it until it is killed', async () => {
  const scope = `test-${randomUUID()}:`;
  const code = `import { SocketLocks } from '${MODULE}';
    await new SocketLocks('${scope}').acquire('board:x');
    process.stdout.write('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const locks = new SocketLocks(scope);
  const gone = once(child, 'exit');
  try {
    await once(child.stdout, 'data');
    await expect(locks.acquire('board:x')).rejects.toMatchObject({
      code: 'busy',
      message: `process ${child.pid} is at work on board:x`,
    });
  } finally {
    child.kill('SIGKILL');
    await gone;
  }
  await (
    await locks.acquire('board:x')
  )();
});

test('a lock alone does not keep a process alive', async () => {
  const code = `import { SocketLocks } from '${MODULE}';
    await new SocketLocks('test-${randomUUID()}:').acquire('x');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' });
  const [exitCode] = await once(child, 'exit');
  expect(exitCode).toBe(0);
});
