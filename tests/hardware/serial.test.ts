// The serial adapter on pseudo-terminals of this machine's kernel.
import { afterEach, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { hardwareSerial } from '../../src/hardware/serial.ts';
import { serialContract } from '../contract/serial.ts';
import { cutTrees, fakeTree } from './fake-tree.ts';
import { openPty } from './pty.ts';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
  cutTrees();
});
const pty = async (...parts: Parameters<typeof openPty>) => {
  const made = await openPty(...parts);
  open.push(made);
  return made;
};

serialContract('hardware, a pseudo-terminal', async () => {
  // All values of a byte: nothing is taken for a control character.
  const question = Uint8Array.from({ length: 256 }, (_, value) => value);
  const answer = question.toReversed();
  let heard = 0;
  const far = await pty((bytes, reply) => {
    for (const [at, byte] of bytes.entries()) if (byte !== (heard + at) % 256) return;
    heard += bytes.length;
    if (heard % 256 === 0) reply(answer);
  });
  return {
    ports: hardwareSerial(),
    path: far.path,
    question,
    answer,
    pull: async () => far.close(),
    dispose: async () => far.close(),
  };
});

test('the holder is named, and locked out are those who do not lock', async () => {
  const far = await pty(() => {});
  const holder = spawn('python3', [
    '-c',
    `import fcntl,sys,time\nf=open('${far.path}','rb',0)\nfcntl.flock(f,6)\nprint('held',flush=True)\ntime.sleep(60)`,
  ]);
  try {
    await once(holder.stdout, 'data');
    await expect(hardwareSerial().open(far.path)).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringMatching(new RegExp(`held by process ${holder.pid} \\(python`)),
    });
  } finally {
    holder.kill();
    await once(holder, 'exit');
  }
  await (await hardwareSerial().open(far.path)).close();
});

test('a far end that reads nothing is told after a moment, and closing does not wait for it', async () => {
  const deaf = await pty();
  const port = await hardwareSerial().open(deaf.path);
  await expect(port.write(new Uint8Array(1_000_000))).rejects.toMatchObject({ code: 'usb-timeout' });
  const startedAt = performance.now();
  await port.close();
  expect(performance.now() - startedAt).toBeLessThan(5000);
});

test('what is no tty is told as such', async () => {
  const path = join(fakeTree({ file: 'x' }), 'file');
  await expect(hardwareSerial().open(path)).rejects.toMatchObject({
    code: 'no-hardware',
    message: `${path} is no serial port`,
  });
  if (process.getuid?.() === 0) return;
  chmodSync(path, 0);
  await expect(hardwareSerial().open(path)).rejects.toMatchObject({ message: `${path}: permission denied` });
});

test('the touch leaves the port free, and a missing one is said', async () => {
  const far = await pty(() => {});
  await hardwareSerial().touch1200(far.path);
  await (await hardwareSerial().open(far.path)).close();
  await expect(hardwareSerial().touch1200('/dev/ttyACM250')).rejects.toMatchObject({ code: 'no-hardware' });
});
