// SIGKILL in the reset pulse, on the stock kernel: NRST stays low with nobody there, and the next start frees the board.
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { NO_HOST_TIMES } from '../../src/virtual/serve/serve.ts';
import { APP, bootFlashRig, KLIPPER, nextKlipper, ONE_VISIT, type FlashRig } from './flash-rig.ts';
import { BOARD, FlashSite } from './flash-site.ts';
import type { Guest } from './guest.ts';
import type { ServedBoard } from './served-board.ts';
import { waitForUsb } from './usb.ts';

const FLOATING = { boot0: 'floating', nrst: 'floating' } as const;

let rig: FlashRig;
let served: ServedBoard;
let guest: Guest;
beforeAll(async () => {
  // The pulse lasts until the kernel has heard that the board left: behind a hub up to 256 ms.
  rig = await bootFlashRig({ timesOverride: { ...NO_HOST_TIMES, noticeLeftMs: 256 } });
  ({ served, guest } = rig);
});
afterAll(async () => rig?.end());
afterEach(() => rig.expectPeace());

/** The expander holds what was set last, as a Raspberry Pi does. */
async function killedInPulse(site: FlashSite): Promise<void> {
  const { image } = nextKlipper();
  const job = site.start(site.flashing(image));
  site.onceLow(() => job.signal('KILL'));
  expect((await job.ended).code).toBe(137);
  expect(site.drives()).toEqual({ boot0: 'high', nrst: 'low' });
  await waitForUsb(guest, KLIPPER, 0);
  expect(served.bench.lines.inReset).toBe(true);
}

async function expectFlashed(site: FlashSite): Promise<void> {
  const { image, version } = nextKlipper();
  const { code, answer } = await site.flash(image);
  expect([code, answer]).toMatchObject([0, { state: 'done', verified: true, version }]);
  expect(site.held(image, APP).equals(image)).toBe(true);
}

test('/dev/gpiochip: the next command frees the board, whatever it is, and a flash works', async () => {
  const site = await FlashSite.open(guest, served);
  await killedInPulse(site);
  const { code, answer } = await site.octopus(['status']);
  expect([code, answer.boards]).toMatchObject([
    0,
    [{ board: BOARD, unfinishedJob: { method: 'octopus.flash' } }],
  ]);
  expect(site.drives()).toEqual(FLOATING);
  await waitForUsb(guest, KLIPPER);
  await expectFlashed(site);
});

test('sysfs, where the lines stay exported: the same command again frees the board and flashes it', async () => {
  const site = await FlashSite.open(guest, served, { OCTOPUS_GPIO: 'sysfs' });
  await killedInPulse(site);
  await site.forget();
  await expectFlashed(site);
  expect(site.story).toEqual(['boot0 floating', 'nrst floating', ...ONE_VISIT]);
});

test('the next start of the daemon frees it', async () => {
  const site = await FlashSite.open(guest, served);
  await killedInPulse(site);
  const daemon = site.start(['daemon']);
  await site.until('both lines floating', () => site.drives().nrst === 'floating');
  await waitForUsb(guest, KLIPPER);
  await daemon.prints(/octopus-flasher runs/, 240_000);
  daemon.signal('TERM');
  expect((await daemon.ended).code).toBe(0);
  expect(site.drives()).toEqual(FLOATING);
});
