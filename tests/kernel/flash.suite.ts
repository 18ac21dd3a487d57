// The whole walk on the stock kernel: the real command line and daemon in the guest, the board's USB and the two wires
// (lines of a USB GPIO expander) behind usbredir on the host, which compares the flash with the image at the end.
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { uidBytes } from '../../src/virtual/board-data.ts';
import { canUuid } from '../../src/virtual/can-uuid.ts';
import {
  APP,
  BRIDGE,
  bootFlashRig,
  KLIPPER,
  nextKlipper,
  ONE_VISIT,
  ROM,
  type FlashRig,
} from './flash-rig.ts';
import { BOARD, FlashSite } from './flash-site.ts';
import type { Guest } from './guest.ts';
import type { ServedBoard } from './served-board.ts';

let rig: FlashRig;
let served: ServedBoard;
let guest: Guest;
beforeAll(async () => {
  rig = await bootFlashRig();
  ({ served, guest } = rig);
});
afterAll(async () => rig?.end());
afterEach(() => rig.expectPeace());

test.each([
  ['/dev/gpiochip', {}, '"octopus-flasher"'],
  ['sysfs alone', { OCTOPUS_GPIO: 'sysfs' }, '"sysfs"'],
])(
  'lines through %s: into the ROM, written, back as Klipper that says its version',
  async (_, env, holder) => {
    const site = await FlashSite.open(guest, served, env);
    const { image, version } = nextKlipper();
    await site.forget();
    const holders = site.holders();
    const { code, answer } = await site.flash(image);
    expect([code, answer]).toMatchObject([
      0,
      { state: 'done', board: BOARD, verified: true, version, printer: 'none', backup: { what: 'whole' } },
    ]);
    // `identify`, read over the tty that cdc_acm has made.
    expect(answer.boot).toMatch(new RegExp(`^Klipper ${version} on /dev/ttyACM\\d$`));
    expect(site.held(image, APP).equals(image)).toBe(true);
    expect(site.story).toEqual(ONE_VISIT);
    expect(await site.found()).toEqual([ROM, KLIPPER]);
    // gpioinfo, asked when reset went low.
    expect((await holders).match(new RegExp(`line +[01]:.*${holder}`, 'g'))).toHaveLength(2);
  },
);

test('a bridge: comes back as gs_usb, whose can0 appears and answers; and from there to USB again', async () => {
  const site = await FlashSite.open(guest, served);
  const { image, version } = nextKlipper('bridge');
  await site.forget();
  const there = await site.flash(image);
  expect([there.code, there.answer]).toMatchObject([0, { state: 'done', verified: true, version }]);
  expect(there.answer.boot).toMatch(/^Klipper USB-CAN bridge on USB /);
  expect(site.held(image, APP).equals(image)).toBe(true);
  expect(await site.found()).toEqual([ROM, BRIDGE]);
  const up = 'until ip link show can0; do sleep 0.1; done; ip link set can0 up type can bitrate 1000000';
  expect((await guest.sh(up)).code).toBe(0);
  const query = await site.octopus(['canbus-query']);
  const uuid = canUuid(uidBytes(served.bench.board.data));
  expect([query.code, query.answer.nodes]).toMatchObject([0, [{ uuid, application: 'klipper' }]]);

  const back = nextKlipper();
  await site.forget();
  const { code, answer } = await site.flash(back.image);
  expect([code, answer]).toMatchObject([
    0,
    { state: 'done', verified: true, version: back.version, previousVersion: version },
  ]);
  expect(await site.found()).toEqual([ROM, KLIPPER]);
  expect((await guest.sh('ip link show can0')).code).not.toBe(0);
});

test('through the daemon, twice: the second has its backup already', async () => {
  const site = await FlashSite.open(guest, served);
  const daemon = site.start(['daemon']);
  await daemon.prints(/octopus-flasher runs/, 240_000);
  const [first, second] = [nextKlipper(), nextKlipper()];
  const whole = await site.flash(first.image);
  expect([whole.code, whole.answer]).toMatchObject([
    0,
    { state: 'done', verified: true, version: first.version, backup: { what: 'whole' } },
  ]);
  const { code, answer } = await site.flash(second.image);
  expect([code, answer]).toMatchObject([
    0,
    {
      state: 'done',
      verified: true,
      version: second.version,
      previousVersion: first.version,
      backup: { what: 'region' },
    },
  ]);
  expect(site.held(second.image, APP).equals(second.image)).toBe(true);
  daemon.signal('TERM');
  expect((await daemon.ended).code).toBe(0);
  // The daemon did it: both came through its socket.
  expect(await site.audited()).toEqual(['local octopus.flash', 'local octopus.flash']);
});
