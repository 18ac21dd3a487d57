// The guest itself: what the other suites rely on.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Guest, NODE, REPO, SHARE } from './guest.ts';

describe('a guest', () => {
  let guest: Guest;
  beforeAll(async () => {
    guest = await Guest.boot();
  });
  afterAll(async () => guest?.stop());

  test("runs Debian's kernel and this checkout on the pinned Node", async () => {
    expect((await guest.sh('uname -v; pwd')).stdout).toMatch(/Debian[^]*\/opt\/octopus\n$/);
    const program = `console.log(process.version, require('./package.json').name)`;
    expect(await guest.run([NODE, '-e', program])).toMatchObject({
      code: 0,
      stdout: `${process.version} octopus-flasher\n`,
      stderr: '',
    });
  });

  test('exit codes, signals and a program that is not there', async () => {
    const codes = await Promise.all(
      ['exit 0', 'exit 7', 'exit 255', 'kill -TERM $$', 'kill -KILL $$'].map(
        async (script) => (await guest.sh(script)).code,
      ),
    );
    expect(codes).toEqual([0, 7, 255, 143, 137]);
    expect((await guest.run(['octopus-is-not-here'])).code).toBe(127);
  });

  test('every byte comes through, in both directions, and the streams stay apart', async () => {
    const bytes = Buffer.concat([
      Buffer.from(Array.from({ length: 256 }, (_, index) => index)),
      randomBytes(300_000),
    ]);
    const outcome = await guest.sh('cat; echo aside >&2', { input: bytes });
    expect(outcome.bytes.equals(bytes)).toBe(true);
    expect(outcome.stderr).toBe('aside\n');
    expect((await guest.run(['wc', '-c'])).stdout).toBe('0\n');
  });

  test('arguments, environment and folder arrive as they are', async () => {
    const odd = ["it's", '', 'a b', '$HOME `id` "x" \\', '-n', 'ö\nnewline'];
    const { stdout } = await guest.run(['printf', '%s|', ...odd]);
    expect(stdout).toBe(odd.map((word) => `${word}|`).join(''));
    const where = await guest.sh('pwd; echo "$SAID"; echo "${npm_config_cache:-clean}"', {
      cwd: '/usr/share',
      env: { SAID: "it's\nme" },
    });
    expect(where.stdout).toBe("/usr/share\nit's\nme\nclean\n");
    expect((await guest.run(['true'], { cwd: '/no/where' })).code).toBe(126);
  });

  test('one folder is shared both ways', async () => {
    writeFileSync(join(guest.share, 'from-host'), 'one');
    expect((await guest.sh(`cat ${SHARE}/from-host; echo two >${SHARE}/from-guest`)).stdout).toBe('one');
    expect(existsSync(join(guest.share, 'from-guest'))).toBe(true);
  });

  test("the host's files cannot be changed", async () => {
    const name = 'octopus-guest-was-here';
    const { code } = await guest.sh(`touch /etc/${name} ${REPO}/${name} && rm ${REPO}/package.json`);
    expect(code).toBe(0);
    expect(existsSync(`/etc/${name}`)).toBe(false);
    expect(existsSync(name)).toBe(false);
    expect(existsSync('package.json')).toBe(true);
    await guest.sh(`cp ${REPO}/node_modules/.octopus-lock.json /tmp`);
  });

  test('more than one command at a time; a signal reaches the one that is meant', async () => {
    const waits = guest.start(['sh', '-c', 'trap "echo told; exit 3" INT; echo up; sleep 60 & wait']);
    await waits.prints(/up/);
    expect((await guest.run(['echo', 'beside'])).stdout).toBe('beside\n');
    expect(waits.over).toBe(false);
    waits.signal('INT');
    expect(await waits.ended).toMatchObject({ code: 3, stdout: 'up\ntold\n', timedOut: false });
  });

  test('a command that outlives its time is killed with everything that came of it', async () => {
    const daemon = 'setsid sleep 4321 & trap "" TERM; echo before; while :; do sleep 1; done';
    const outcome = await guest.sh(daemon, { timeoutMs: 1500 });
    expect(outcome).toMatchObject({ code: 137, timedOut: true, stdout: 'before\n' });
    expect((await guest.run(['pgrep', '-fx', 'sleep 4321'])).stdout).toBe('');
  });

  test('an unprivileged user, and groups', async () => {
    const user = { user: 'printer' } as const;
    expect((await guest.sh('id -un; id -G; cd; pwd', user)).stdout).toBe('printer\n20000\n/home/printer\n');
    expect((await guest.sh('id -Gn', { ...user, groups: ['dialout'] })).stdout).toBe('printer dialout\n');
    expect((await guest.sh('echo 1 >/dev/port', user)).stderr).toContain('Permission denied');
    expect(await guest.run([NODE, '-p', '6 * 7'], user)).toMatchObject({ code: 0, stdout: '42\n' });
  });
});

describe('the end of a guest', () => {
  test('a kernel that panics: 125 for what ran, what was printed is there', async () => {
    const guest = await Guest.boot();
    const beside = guest.start(['sh', '-c', 'echo heard; sleep 60']);
    await beside.prints(/heard/);
    const killer = await guest.sh('echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger');
    expect(killer).toMatchObject({ code: 125, timedOut: false });
    expect(killer.died).toContain('sysrq_handle_crash');
    expect(await beside.ended).toMatchObject({ code: 125, stdout: 'heard\n' });
    expect((await guest.run(['true'])).code).toBe(125);
    await guest.stop();
    expect(existsSync(guest.share)).toBe(false);
  });

  test('one that does not come up in time is an error, and leaves nothing', async () => {
    await expect(Guest.boot({ bootTimeoutMs: 100 })).rejects.toThrow('not up in time');
  });

  test('a module that does not exist is an error that names it', async () => {
    await expect(Guest.boot({ modules: ['octopus_absent'] })).rejects.toThrow('octopus_absent');
  });
});
