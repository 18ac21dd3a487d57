// A printer on Debian bookworm: installed, flashed by the hardened unit over USB, GPIO and CAN, killed in the worst
// moments, healed by Moonraker's hard recovery, and taken off again.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { uidBytes } from '../../../src/virtual/board-data.ts';
import { canUuid } from '../../../src/virtual/can-uuid.ts';
import { NO_HOST_TIMES } from '../../../src/virtual/serve/serve.ts';
import { arrives, FLAGS, leaves } from './common.ts';
import { begin, expectFlashed, held, inPhase, nextKlipper } from './flashing.ts';
import { Site, UNIT } from './site.ts';
import { restartedAs, updateManager, updateStatus } from './updating.ts';

jest.setTimeout(900_000);

let site: Site;
beforeAll(async () => {
  // The pulse lasts until the kernel has heard that the board left: time to be killed in.
  site = await Site.start('bookworm', { timesOverride: { ...NO_HOST_TIMES, noticeLeftMs: 1000 } });
});
afterAll(async () => site?.stop());

arrives(() => site, [...FLAGS, '--can', '1000000']);

test('a flash by the unit: Klipper is stopped and started by Moonraker, the lines are /dev/gpiochip', async () => {
  await site.wire();
  await site.registered();
  await expectFlashed(site);
});

test('a bridge: can0 comes up by itself at its bitrate, and the unit asks who is there; and back to USB', async () => {
  await expectFlashed(site, 'bridge');
  const shown = await site.until('can0 is up', async () => {
    const { stdout } = await site.vm.sh('ip -details link show can0');
    return stdout.includes('state UP') && stdout;
  });
  expect(shown).toMatch(/bitrate 1000000\b/);
  expect(shown).toMatch(/qlen 128\b/);
  const client = await site.client();
  const { result } = await client.agent('octopus.canbus_query', { interface: 'can0' });
  const uuid = canUuid(uidBytes(site.board.bench.board.data));
  expect(result.nodes).toMatchObject([{ uuid, application: 'klipper' }]);
  await expectFlashed(site);
});

/** Kills the daemon at a signal, with nothing to be started first: the pulse is short. Resolves when it is dead. */
async function assassin(): Promise<() => Promise<void>> {
  const main = await site.vm.said(`systemctl show -p MainPID --value ${UNIT}`);
  const job = site.vm.start(
    `trap 'kill -KILL ${main}; exit' USR1; echo ready; while :; do sleep 600 & wait; done`,
    { user: 'root', timeoutMs: 300_000 },
  );
  await job.prints(/ready/);
  return async () => {
    job.signal('USR1');
    await job.ended;
  };
}

async function expectRecovered(): Promise<void> {
  const { gpio } = site.board.bench;
  await site.until(
    'both lines float',
    async () => gpio.drive('gpio26') === 'floating' && gpio.drive('gpio19') === 'floating',
  );
  await site.until(
    'Klipper was started',
    async () => (await site.vm.sh('systemctl is-active --quiet klipper')).code === 0,
  );
  await site.registered();
  expect(site.board.bench.electricalFaults).toEqual([]);
}

test('SIGKILL in the reset pulse: the lines float, Klipper runs, the daemon is back, and a flash works', async () => {
  const kill = await assassin();
  const { lines } = site.board.bench;
  const { nrstPin } = lines.settings;
  const killed = new Promise<string>((resolve, reject) => {
    const stop = lines.onLineChange(({ pin, drive }) => {
      if (pin !== nrstPin || drive !== 'low') return;
      stop();
      kill().then(() => resolve(lines.pinDrive(nrstPin)), reject);
    });
  });
  await begin(site, await site.client(), nextKlipper().image);
  expect(await killed).toBe('low');
  await expectRecovered();
  expect(await site.journal()).toMatch(/status=9\/KILL/);
  await expectFlashed(site);
});

test('SIGKILL while it writes: the same, and the next start finishes the flash by itself', async () => {
  const kill = await assassin();
  const client = await site.client();
  const { image } = nextKlipper();
  const job = await begin(site, client, image);
  await inPhase(site, client, job, 'erase');
  await kill();
  await site.until('the flash is finished', async () => held(site, image));
  await site.until('the repair has ended', async () => {
    const { result } = await client.agent('octopus.status');
    return result?.jobs?.length === 0 && result.boards[0].replacement === null;
  });
  await expectRecovered();
  await expectFlashed(site);
});

test('hard recovery, which leaves a clone without node_modules: it heals by itself, at the newest', async () => {
  await restartedAs(site, '0.1.0', () => updateManager(site, 'recover', { hard: true }));
  expect(await updateStatus(site)).toMatchObject({ is_valid: true, is_dirty: false, warnings: [] });
});

leaves(() => site);
