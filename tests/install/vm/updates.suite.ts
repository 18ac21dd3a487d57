// A printer on Debian trixie (bookworm where its packages cannot be had): installed, and kept up to date by Moonraker's
// update_manager through everything that can go wrong there.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { arrives, leaves } from './common.ts';
import { begin, ended, expectFlashed, held, inPhase, nextKlipper } from './flashing.ts';
import { CLONE, Site } from './site.ts';
import { describedAs, restartedAs, updateManager, updateStatus } from './updating.ts';
import { releaseOr } from './vm.ts';

// Limits, no expectations: npm ci takes a minute and a half in the guest, and five where others use this machine.
jest.setTimeout(900_000);

let site: Site;
beforeAll(async () => {
  site = await Site.start(releaseOr('trixie', 'bookworm'));
});
afterAll(async () => site?.stop());

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
  await updateManager(site, 'refresh');
  expect(await updateStatus(site)).toMatchObject({
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
  await updateManager(site, 'refresh');
  const client = await site.client();
  const { image } = nextKlipper();
  await restartedAs(site, '0.1.1', async () => {
    const job = await begin(site, client, image);
    await inPhase(site, client, job, 'erase');
    const updated = updateManager(site, 'client');
    expect(await ended(site, client, job)).toMatchObject({ state: 'done', result: { verified: true } });
    await updated;
  });
  expect(held(site, image)).toBe(true);
  expect(await describedAs(site)).toBe('v0.1.1');
});

test('and back', async () => {
  await restartedAs(site, '0.1.0', () => updateManager(site, 'rollback'));
  expect(await describedAs(site)).toBe('v0.1.0');
});

test('a changed lock file: its packages are installed before the daemon runs', async () => {
  site.source.release('v0.2.0', { 'package.json': version('0.2.0'), 'package-lock.json': locked('0.2.0') });
  await updateManager(site, 'refresh');
  await restartedAs(site, '0.2.0', () => updateManager(site, 'client'));
  await site.vm.said(`cmp ${CLONE}/package-lock.json ${CLONE}/node_modules/.octopus-lock.json`);
});

test('a changed lock file whose packages cannot be had: the version before runs', async () => {
  site.source.release('v0.3.0', { 'package.json': version('0.3.0'), 'package-lock.json': locked('0.3.0') });
  await updateManager(site, 'refresh');
  // Nor are they in the unit's own cache.
  await site.vm.said('sudo rm -rf /var/cache/octopus-flasher/npm');
  site.remotes.cutOff = 'npm';
  await restartedAs(site, '0.2.0', () => updateManager(site, 'client'));
  expect(await describedAs(site)).toBe('v0.3.0');
  site.remotes.cutOff = 'nothing';
});

leaves(() => site);
