// A printer on Debian trixie (bookworm where its packages cannot be had): installed, and kept up to date by Moonraker's
// update_manager through everything that can go wrong there.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { arrives, leaves } from './common.ts';
import { begin, ended, expectFlashed, held, inPhase, nextKlipper } from './flashing.ts';
import { CLONE, Site, UNIT } from './site.ts';
import { releaseOr } from './vm.ts';

// Limits, no expectations: npm ci takes a minute and a half in the guest, and five where others use this machine.
jest.setTimeout(900_000);

let site: Site;
beforeAll(async () => {
  site = await Site.start(releaseOr('trixie', 'bookworm'));
});
afterAll(async () => site?.stop());

/** As Mainsail asks; the answer comes when it is done. */
async function updateManager(verb: string, more: object = {}): Promise<void> {
  const client = await site.client();
  const answer = await client.ask(`machine.update.${verb}`, { name: UNIT, ...more });
  const said = client.heard.filter(({ method }) => method === 'notify_update_response');
  expect([answer['error'], said.map(({ params }) => params[0].message).join('\n')]).toEqual([
    undefined,
    expect.anything(),
  ]);
}

async function status(): Promise<Record<string, unknown>> {
  return (await site.get('/machine/update/status')).version_info[UNIT];
}

/** The version of the code that runs, as its agent says it. */
async function running(version: string): Promise<void> {
  await site.until(
    `version ${version} runs`,
    async () => {
      const { agents = [] } = (await site.get('/server/extensions/list')) ?? {};
      return agents.some(
        (one: Record<string, unknown>) => one['name'] === 'octopus' && one['version'] === version,
      );
    },
    600_000,
  );
  expect(await site.vm.said(`systemctl is-active ${UNIT} klipper`)).toBe('active\nactive');
}

const version = (to: string) => (text: string) => text.replace(/"version": "[^"]*"/, `"version": "${to}"`);
/** The lock file says the version twice, first of all. */
const locked = (to: string) => (text: string) =>
  version(to)(text).replace(/("": \{[^}]*?"version": )"[^"]*"/, `$1"${to}"`);

arrives(() => site);

test('a flash by the unit', async () => {
  await site.wire();
  await site.registered();
  await expectFlashed(site);
});

test('Mainsail sees a version, and nothing amiss', async () => {
  await updateManager('refresh');
  expect(await status()).toMatchObject({
    is_valid: true,
    configured_type: 'git_repo',
    channel_invalid: false,
    version: expect.stringMatching(/^v0\.1\.0/),
    remote_version: expect.stringMatching(/^v0\.1\.0/),
    is_dirty: false,
    corrupt: false,
    commits_behind_count: 0,
    warnings: [],
    anomalies: [],
  });
});

test('a newer commit with another launcher, asked for during a flash: it waits for the flash, then runs', async () => {
  site.source.release('v0.1.1', {
    'bin/octopus': (text) => `${text}# newer\n`,
    'package.json': version('0.1.1'),
  });
  await updateManager('refresh');
  const client = await site.client();
  const { image } = nextKlipper();
  const job = await begin(site, client, image);
  await inPhase(site, client, job, 'erase');
  const updated = updateManager('client');
  expect(await ended(site, client, job)).toMatchObject({ state: 'done', result: { verified: true } });
  await updated;
  expect(held(site, image)).toBe(true);
  await running('0.1.1');
  expect(await site.vm.said(`git -C ${CLONE} describe`)).toBe('v0.1.1');
});

test('and back', async () => {
  await updateManager('rollback');
  await running('0.1.0');
  expect(await site.vm.said(`git -C ${CLONE} describe`)).toBe('v0.1.0');
});

test('a changed lock file: its packages are installed before the daemon runs', async () => {
  site.source.release('v0.2.0', { 'package.json': version('0.2.0'), 'package-lock.json': locked('0.2.0') });
  await updateManager('refresh');
  await updateManager('client');
  await running('0.2.0');
  await site.vm.said(`cmp ${CLONE}/package-lock.json ${CLONE}/node_modules/.octopus-lock.json`);
});

test('a changed lock file whose packages cannot be had: the version before runs', async () => {
  site.source.release('v0.3.0', { 'package.json': version('0.3.0'), 'package-lock.json': locked('0.3.0') });
  await updateManager('refresh');
  site.remotes.cutOff = 'npm';
  await updateManager('client');
  await running('0.2.0');
  expect(await site.vm.said(`git -C ${CLONE} describe`)).toBe('v0.3.0');
  site.remotes.cutOff = 'nothing';
});

test('hard recovery, which leaves a clone without node_modules: it heals by itself, at the newest', async () => {
  await updateManager('recover', { hard: true });
  await running('0.3.0');
  expect(await status()).toMatchObject({ is_valid: true, is_dirty: false, warnings: [] });
});

leaves(() => site);
