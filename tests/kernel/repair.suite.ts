// A flash that is cut off in the middle of a write, through the stock kernel's USB and GPIO: by SIGKILL, by the cable, and
// by the host's own power. What comes next finishes it, by what lies on its disk.
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { APP, bootFlashRig, bootGuest, KLIPPER, nextKlipper, type FlashRig } from './flash-rig.ts';
import { DISK, FlashSite } from './flash-site.ts';
import type { Job } from './guest.ts';
import { waitForUsb } from './usb.ts';

let rig: FlashRig;
beforeAll(async () => {
  rig = await bootFlashRig();
});
afterAll(async () => rig?.end());
afterEach(() => rig.expectPeace());

/** Resolves when some of the image lies on the chip and its first bytes do not: it would not start. */
async function halfWritten(site: FlashSite, image: Uint8Array): Promise<void> {
  const isBlank = (bytes: Uint8Array) => bytes.every((byte) => byte === 0xff);
  await site.until('half an image', () => {
    const held = site.held(image, APP);
    return (
      isBlank(held.subarray(0, 8)) && held.subarray(0x1000, 0x1100).equals(image.subarray(0x1000, 0x1100))
    );
  });
}

async function begun(site: FlashSite): Promise<{ image: Uint8Array; version: string; job: Job }> {
  const { image, version } = nextKlipper();
  const job = site.start(site.flashing(image));
  await halfWritten(site, image);
  return { image, version, job };
}

async function expectRepaired(site: FlashSite, image: Uint8Array, version: string): Promise<void> {
  const { code, answer } = await site.octopus([
    'repair',
    '--board',
    'bench',
    '--confirm',
    'heaters_unplugged',
  ]);
  expect([code, answer]).toMatchObject([0, { outcome: 'finished', flash: { verified: true, version } }]);
  expect(site.held(image, APP).equals(image)).toBe(true);
  const { answer: status } = await site.octopus(['status']);
  expect(status).toMatchObject({ boards: [{ unfinishedJob: null, replacement: null }] });
}

test('SIGKILL: the next start of the daemon finishes it by itself', async () => {
  const site = await FlashSite.open(rig.guest, rig.served);
  const { image, job } = await begun(site);
  job.signal('KILL');
  expect((await job.ended).code).toBe(137);
  expect(site.held(image, APP).equals(image)).toBe(false);
  const daemon = site.start(['daemon']);
  await site.until('the image is whole', () => site.held(image, APP).equals(image));
  await waitForUsb(rig.guest, KLIPPER);
  daemon.signal('TERM');
  expect((await daemon.ended).code).toBe(0);
  const { answer } = await site.octopus(['status']);
  expect(answer).toMatchObject({ boards: [{ unfinishedJob: null, replacement: null }] });
});

test('the cable is pulled: an error that says so; plugged in again, it is repaired', async () => {
  const site = await FlashSite.open(rig.guest, rig.served);
  const { image, version, job } = await begun(site);
  rig.served.bench.unplug();
  const { code, stderr, stdout } = await job.ended;
  expect([code, stderr + stdout]).toEqual([1, expect.stringContaining('half-written')]);
  rig.served.bench.replug();
  await expectRepaired(site, image, version);
});

test("the host's power goes: what is on its disk is enough for the next boot", async () => {
  const site = await FlashSite.open(rig.guest, rig.served, {}, DISK);
  const { image, version } = await begun(site);
  const disk = mkdtempSync(join(tmpdir(), 'octopus-disk-'));
  await rig.guest.powerCut('home', disk);
  expect(site.held(image, APP).equals(image)).toBe(false);
  rig.guest = await bootGuest(rig.served);
  cpSync(disk, join(rig.guest.share, 'home'), { recursive: true });
  rmSync(disk, { recursive: true });
  await expectRepaired(await FlashSite.found(rig.guest, rig.served, DISK), image, version);
});
