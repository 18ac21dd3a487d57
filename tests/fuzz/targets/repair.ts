// Fuzz: a start behind a job that died, with what it has left on the disk cut off and spoilt. It ends, in an outcome or in words
// of what it needs; what is still owed stays on record; the lock is free, and Klipper runs.
import { boardByName } from '../../../src/boards/boards.ts';
import { OctopusError } from '../../../src/errors.ts';
import { recall } from '../../../src/flash/board-memory.ts';
import type { BoardPlace } from '../../../src/flash/place.ts';
import { isReplacementOpen } from '../../../src/flash/replacement.ts';
import { lastJob } from '../../../src/jobs/journal.ts';
import { lockOf, type JobKit } from '../../../src/jobs/runner.ts';
import { seal } from '../../../src/kept.ts';
import { isOwed, repairBoard } from '../../../src/methods/repair.ts';
import type { Printer } from '../../../src/ports/printer.ts';
import type { UsbDeviceInfo } from '../../../src/ports/usb.ts';
import { VirtualClock } from '../../../src/virtual/clock.ts';
import { MemoryLocks } from '../../../src/virtual/locks.ts';
import { MemoryStore } from '../../../src/virtual/store.ts';
import { BOARD, COPY, IMAGE, KEYS, RECORDS, type Kept } from '../kept.ts';
import { holds, refusalCode, target, type Fate } from '../target.ts';
import { spoilt } from './records.ts';

type Seen = 'nothing' | 'klipper' | 'rom';

interface Disk {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly onUsb: Seen;
}

/** Nobody is there whose hands could help: that would be waited for by the minute. */
const PLACE: BoardPlace = {
  board: boardByName(BOARD),
  pins: undefined,
  heaters: { kind: 'unused' },
  routes: ['touch-1200'],
};
/** Whatever is waited for: Klipper's word, a device. */
const LONGEST_MS = 300_000;

export const repairFiles = target<Disk>({
  name: 'repair',
  show: ({ files }) =>
    Buffer.concat([...files].flatMap(([key, bytes]) => [Buffer.from(`\n${key}\n`), bytes])),
  input: (random) => {
    const files = new Map<string, Uint8Array>();
    for (const kept of Object.keys(RECORDS) as Kept[]) {
      if (random.oneIn(6)) continue;
      files.set(KEYS[kept], random.oneIn(3) ? spoilt(random, RECORDS[kept]) : seal(RECORDS[kept]));
    }
    if (!random.oneIn(4)) files.set(KEYS.image, IMAGE);
    if (!random.oneIn(4)) files.set(KEYS.copy, COPY);
    return { files, onUsb: random.pick(['nothing', 'klipper', 'rom']) };
  },
  check: async ({ files, onUsb }): Promise<Fate> => {
    const clock = new VirtualClock('microtasks');
    const store = new MemoryStore(clock);
    for (const [key, bytes] of files) await store.write(key, bytes);
    const locks = new MemoryLocks();
    const printer = new StubPrinter();
    const kit = { ...NO_PORTS, clock, locks, printer, store, usb: usbWith(onUsb) };
    const wasOwed = await isOwed(kit, PLACE);
    const last = await lastJob(kit, BOARD);
    try {
      const outcome = await repairBoard(kit, PLACE);
      if (outcome.kind === 'needs')
        holds(outcome.error.code !== 'internal', `a fault of ours: ${outcome.error.message}`);
      const isPaid = outcome.kind !== 'needs' && outcome.kind !== 'nothing';
      holds(!isPaid || wasOwed, `${outcome.kind}, where nothing was owed`);
      holds(!isPaid || !(await isReplacementOpen(kit, BOARD)), `${outcome.kind}, and it is owed still`);
      return outcome.kind === 'needs' ? `needs: ${outcome.error.code}` : outcome.kind;
    } catch (error) {
      // Its power device is another one now.
      return `thrown: ${refusalCode(error, ['printer-unreachable'])}`;
    } finally {
      holds(!locks.holds(lockOf(BOARD)), 'the lock is held');
      holds(
        printer.isRunning || last === undefined || !last.steps.some(({ kind }) => kind === 'stop-klipper'),
        'Klipper stands still',
      );
      const { busPath } = await recall(kit, BOARD);
      const isInRom = onUsb === 'rom' && (busPath === undefined || busPath === ROM.busPath);
      holds(!isInRom || !printer.hasPower, 'heaters have power in front of a ROM');
      holds(clock.now() < LONGEST_MS, `it took ${clock.now()} ms`);
      clock.stop();
    }
  },
  fates: ['nothing', 'needs: backup-damaged', 'needs: no-device', 'needs: no-boot'],
});

/** Klipper's service stands still, as the dead job has left it; Moonraker knows the power device `psu`. */
class StubPrinter implements Printer {
  isRunning = false;
  hasPower = false;
  async read() {
    await Promise.resolve();
    const calm = { printing: false, paused: false, moving: false, zHomed: false, heaters: [] };
    return { state: this.isRunning ? ('startup' as const) : ('disconnected' as const), ...calm };
  }
  async stopKlipper() {
    this.isRunning = false;
  }
  async startKlipper() {
    this.isRunning = true;
  }
  onForeignStart() {
    return () => {};
  }
  async setPower(device: string, state: 'on' | 'off') {
    if (device !== 'psu')
      throw new OctopusError(
        'printer-unreachable',
        `Moonraker has no power device "${device.slice(0, 60)}"`,
        {
          advice: 'Look at [power] in moonraker.conf.',
        },
      );
    this.hasPower = state === 'on';
  }
  async canNodes() {
    return [];
  }
  async verdict() {
    await Promise.resolve();
    return { state: 'not_ready' as const, reason: "mcu 'mcu': Unable to connect" };
  }
}

function usbWith(seen: Seen): JobKit['usb'] {
  const devices = { nothing: [], klipper: [KLIPPER], rom: [ROM] }[seen];
  return {
    list: async () => devices,
    onChange: () => () => {},
    openDfu: async () => {
      throw gone();
    },
  };
}

const KLIPPER: UsbDeviceInfo = {
  busPath: '1-1.4',
  deviceNumber: 7,
  vendorId: 0x1d50,
  productId: 0x614e,
  bcdDevice: 0x0100,
  manufacturer: 'Klipper',
  product: 'stm32f446xx',
  serial: '320031001251353333383938',
  ttyPath: '/dev/ttyACM0',
};
const ROM: UsbDeviceInfo = {
  busPath: '1-1.4',
  deviceNumber: 8,
  vendorId: 0x0483,
  productId: 0xdf11,
  bcdDevice: 0x2200,
};

const gone = () => new OctopusError('device-gone', 'it is gone', { advice: 'Plug it in.' });
const absent = async (): Promise<never> => {
  throw new OctopusError('no-hardware', 'it is not there', { advice: 'Look at its cable.' });
};
const NO_PORTS = {
  can: { open: absent },
  gpio: { open: absent },
  serial: { open: absent, touch1200: absent },
};
