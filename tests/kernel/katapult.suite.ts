// A board with Katapult below its Klipper, on the stock kernel: asked by the 1200 baud touch through cdc_acm, flashed through
// Katapult with as many frames under way as its buffers hold, read back, and back as Klipper; the ROM is entered only once,
// for the first copy.
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { APP, bootFlashRig, KLIPPER, nextKlipper, ROM, type FlashRig } from './flash-rig.ts';
import { BOARD, FlashSite } from './flash-site.ts';

const KATAPULT = '1d50:6177';

let rig: FlashRig;
let site: FlashSite;
beforeAll(async () => {
  rig = await bootFlashRig({ state: 'katapult' });
  site = await FlashSite.open(rig.guest, rig.served);
});
afterAll(async () => rig?.end());
afterEach(() => rig.expectPeace());

test('first contact by wire: the whole flash is kept, and Katapult is seen to lie there', async () => {
  await site.forget();
  const { code, answer } = await site.octopus(
    ['backup', '--board', BOARD, '--confirm', 'cold,still,heaters_unplugged'],
    { timeoutMs: 240_000 },
  );
  expect([code, answer]).toMatchObject([
    0,
    { state: 'done', record: { what: 'whole', bootloader: expect.stringMatching(/^Katapult v/) } },
  ]);
  expect(await site.found()).toEqual([ROM, KLIPPER]);
});

test('from then on through Katapult, without the ROM', async () => {
  const { image, version } = nextKlipper();
  await site.forget();
  const { code, answer } = await site.flash(image);
  expect([code, answer]).toMatchObject([
    0,
    {
      state: 'done',
      verified: true,
      version,
      bootloader: expect.stringMatching(/^Katapult v/),
      boot: expect.stringMatching(new RegExp(`^Klipper ${version} on /dev/ttyACM\\d$`)),
    },
  ]);
  expect(answer.notes.join('\n')).not.toMatch(/did not come|asked again/);
  expect(site.held(image, APP).equals(image)).toBe(true);
  expect(await site.found()).toEqual([KATAPULT, KLIPPER]);
});
