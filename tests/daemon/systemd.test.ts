// What systemd is told, through its own program: in order, word for word, and never a reason to stop.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { serviceManager } from '../../src/daemon/systemd.ts';
import { systemClock } from '../../src/hardware/clock.ts';
import { loadLibc, type Libc } from '../../src/hardware/libc.ts';
import { encodeUnixAddress } from '../../src/hardware/notify-socket.ts';
import type { Logger } from '../../src/log.ts';
import type { Clock } from '../../src/ports/clock.ts';

let top: string;
let warnings: unknown[];
const log = { warn: (...what: unknown[]) => warnings.push(what) } as unknown as Logger;
const said = () => JSON.parse(`[${readFileSync(join(top, 'said'), 'utf8').trimEnd().split('\n').join(',')}]`);
const install = (body: string) => {
  const file = join(top, 'systemd-notify');
  // Whatever lies in the folders above must not say what kind of module the stand-in is.
  writeFileSync(join(top, 'package.json'), '{}');
  writeFileSync(file, `#!${process.execPath}\n${body}`);
  chmodSync(file, 0o755);
};
const SAY = `const fs = require('node:fs');
fs.appendFileSync(${JSON.stringify('SAID')}, JSON.stringify(process.argv.slice(2)) + '\\n');`;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'octopus-systemd-'));
  warnings = [];
});
afterEach(() => {
  rmSync(top, { recursive: true, force: true });
});

test('each call is one argument vector, in the order of the calls, also when one takes long', async () => {
  install(`if (process.argv[2] === 'READY=1') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
${SAY.replace('"SAID"', JSON.stringify(join(top, 'said')))}`);
  const manager = serviceManager({ NOTIFY_SOCKET: '/run/none', PATH: top }, log, systemClock);
  manager.tell('READY=1');
  manager.tell('STATUS=a "b" $(touch x); c');
  manager.tell('STOPPING=1', 'STATUS=waits');
  await manager.flush();
  expect(said()).toEqual([['READY=1'], ['STATUS=a "b" $(touch x); c'], ['STOPPING=1', 'STATUS=waits']]);
  expect(warnings).toEqual([]);
});

test('a program that is missing or fails is a warning, and the next is told all the same', async () => {
  const manager = serviceManager({ NOTIFY_SOCKET: '/run/none', PATH: top }, log, systemClock);
  manager.tell('READY=1');
  await manager.flush();
  expect(warnings).toHaveLength(1);
  install('process.exit(1)');
  manager.tell('STATUS=x');
  await manager.flush();
  expect(warnings).toHaveLength(2);
  install(SAY.replace('"SAID"', JSON.stringify(join(top, 'said'))));
  manager.tell('STATUS=y');
  await manager.flush();
  expect(said()).toEqual([['STATUS=y']]);
});

describe('by a datagram, as systemd hears it', () => {
  let libc: Libc;
  let fd: number;
  let heard: () => string[];
  // Where systemd listens: SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC of AF_UNIX.
  const listen = (address: string) => {
    fd = libc.socket(1, 2 | 0x800 | 0x8_0000, 0);
    libc.bind(fd, encodeUnixAddress(address));
    heard = () => {
      const found: string[] = [];
      for (const bytes = Buffer.alloc(4096); ;) {
        try {
          found.push(bytes.toString('utf8', 0, readSync(fd, bytes)));
        } catch {
          return found;
        }
      }
    };
  };
  beforeEach(async () => {
    const loaded = await loadLibc();
    if (typeof loaded === 'string') throw new Error(loaded);
    libc = loaded;
    install(SAY.replace('"SAID"', JSON.stringify(join(top, 'said'))));
  });
  afterEach(() => closeSync(fd));

  test('one message a call, one state a line, no program started: by path and in the abstract namespace', async () => {
    for (const address of [join(top, 'notify'), `@octopus-test-${process.pid}`]) {
      if (address.startsWith('@')) closeSync(fd);
      listen(address);
      const manager = serviceManager({ NOTIFY_SOCKET: address, PATH: top }, log, systemClock);
      manager.tell('STOPPING=1', 'STATUS=a $(b) "c"');
      manager.tell('READY=1');
      await manager.flush();
      expect(heard()).toEqual(['STOPPING=1\nSTATUS=a $(b) "c"', 'READY=1']);
    }
    expect(existsSync(join(top, 'said'))).toBe(false);
  });

  test('a receiver whose queue is full is no reason to stand still: the program says it', async () => {
    listen(join(top, 'notify'));
    const manager = serviceManager({ NOTIFY_SOCKET: join(top, 'notify'), PATH: top }, log, systemClock);
    // net.unix.max_dgram_qlen is 10 by default, and at most some hundreds.
    let sent = 0;
    while (!existsSync(join(top, 'said')) && sent++ < 1000) {
      manager.tell('STATUS=x');
      await manager.flush();
    }
    expect(said()).toEqual([['STATUS=x']]);
    expect(warnings).toEqual([]);
  });

  const signs = async (env: object, sleep: Clock['sleep']) => {
    listen(join(top, 'notify'));
    const all = { NOTIFY_SOCKET: join(top, 'notify'), PATH: top, ...env };
    const manager = serviceManager(all, log, { ...systemClock, sleep });
    return { manager, heard };
  };

  test('signs of life at half of what the unit allows, until it is over', async () => {
    const over = new AbortController();
    const slept: number[] = [];
    const { manager } = await signs(
      { WATCHDOG_USEC: '120000000', WATCHDOG_PID: String(process.pid) },
      async (ms, signal) => {
        slept.push(ms);
        expect(signal?.aborted).toBe(false);
        if (slept.length === 3) {
          over.abort();
          throw new Error('called off');
        }
      },
    );
    await manager.live(over.signal);
    await manager.flush();
    expect(slept).toEqual([60_000, 60_000, 60_000]);
    expect(heard()).toEqual(['WATCHDOG=1', 'WATCHDOG=1', 'WATCHDOG=1']);
  });

  test('none without a watchdog, and none for that of another process', async () => {
    for (const env of [
      {},
      { WATCHDOG_USEC: '' },
      { WATCHDOG_USEC: '0' },
      { WATCHDOG_USEC: 'soon' },
      { WATCHDOG_USEC: '120000000', WATCHDOG_PID: '1' },
    ]) {
      rmSync(join(top, 'notify'), { force: true });
      const { manager } = await signs(env, () => Promise.reject(new Error('asked to wait')));
      await manager.live(new AbortController().signal);
      await manager.flush();
      expect(heard()).toEqual([]);
      closeSync(fd);
    }
    listen(join(top, 'last'));
  });

  test('addresses as unix(7) has them: a path ends with a zero, a name begins with one', () => {
    listen(join(top, 'notify'));
    expect([...encodeUnixAddress('/ab')]).toEqual([1, 0, 0x2f, 0x61, 0x62, 0]);
    expect([...encodeUnixAddress('@ab')]).toEqual([1, 0, 0, 0x61, 0x62]);
  });

  test.each(['', '@', 'relative', `/${'x'.repeat(108)}`])('%p is no address', (address) => {
    listen(join(top, 'notify'));
    expect(() => encodeUnixAddress(address)).toThrow('no address');
  });
});

test('without systemd nothing is started', async () => {
  install(SAY.replace('"SAID"', JSON.stringify(join(top, 'said'))));
  for (const env of [{ PATH: top }, { NOTIFY_SOCKET: '', PATH: top }]) {
    const manager = serviceManager(env, log, systemClock);
    manager.tell('READY=1');
    await manager.flush();
  }
  expect(existsSync(join(top, 'said'))).toBe(false);
});

test('under journald each line begins with its priority; elsewhere it is JSON alone', () => {
  const script = join(top, 'log.ts');
  const source = resolve(import.meta.dirname, '../../src/log.ts');
  writeFileSync(
    script,
    `const { createServiceLog } = await import(${JSON.stringify(source)});
const log = createServiceLog('debug', process.env);
log.trace('no'); log.debug('a'); log.info('b'); log.warn('c'); log.child({ x: 1 }).error('d'); log.fatal('e');`,
  );
  const run = (env: object) =>
    execFileSync('sh', ['-c', '"$0" "$1" 2>&1', process.execPath, script], {
      env: { PATH: process.env['PATH'], ...env },
      encoding: 'utf8',
    })
      .trimEnd()
      .split('\n');
  const lines = run({ JOURNAL_STREAM: '8:1' });
  expect(lines.map((line) => line.slice(0, 4))).toEqual(['<7>{', '<6>{', '<4>{', '<3>{', '<2>{']);
  expect(lines.map((line) => JSON.parse(line.slice(3)).msg)).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(run({}).map((line) => JSON.parse(line).msg)).toEqual(['a', 'b', 'c', 'd', 'e']);
});
