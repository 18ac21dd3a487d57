// What must be true of the board and its printer in the end, whatever has happened; and that nobody was told otherwise.
import { equalBytes } from '../../src/firmware/plan.ts';
import { lastJob, leftKlipperStopped, unfinishedJob } from '../../src/jobs/journal.ts';
import { readReplacement } from '../../src/flash/replacement.ts';
import { lockOf } from '../../src/jobs/runner.ts';
import type { Ending } from './life.ts';
import { NEW, OLD, type World } from './ways.ts';

/** Klippy looks for its board for 90 s. */
const READY_MS = 100_000;
/** Whatever boots has booted. */
const BOOT_MS = 10_000;

/** What ran before, and what the image says of itself. */
export interface Versions {
  readonly old: string;
  readonly next: string;
}

export class Ground {
  readonly #world: World;
  readonly #versions: Versions;
  /** The whole flash as it was. */
  readonly #before: Uint8Array;

  constructor(world: World, versions: Versions = { old: OLD, next: NEW }) {
    this.#world = world;
    this.#versions = versions;
    this.#before = this.#flash();
  }

  /** No false success, and no false comfort. */
  judgeEnding(ending: Ending): readonly string[] {
    if (ending.kind === 'hangs') return ['the flash never ended'];
    if (ending.kind === 'killed') return [];
    if (ending.kind === 'done') {
      const { verified, version } = ending.result;
      if (!verified || version !== this.#versions.next) return ['it was called done without being verified'];
      return this.#holdsNew() ? [] : ['it was called done, and the flash does not hold the image'];
    }
    const { code, advice, onBoard } = ending.error;
    return [
      ...(code === 'internal' ? [`an error of our own: ${ending.error.message}`] : []),
      ...(advice === '' ? ['an error without advice'] : []),
      ...(/not changed|old firmware is whole/.test(onBoard ?? '') && !this.#isUntouched()
        ? [`it said "${onBoard}", which is not so`]
        : []),
      ...(/holds the new firmware/.test(onBoard ?? '') && !this.#holdsNew()
        ? [`it said "${onBoard}", which is not so`]
        : []),
    ];
  }

  async judge(): Promise<readonly string[]> {
    const { bench, place } = this.#world;
    const { store, locks } = bench;
    const { name } = place.board;
    await bench.clock.sleep(BOOT_MS);
    const last = await lastJob({ store }, name);
    return [
      ...bench.electricalFaults.map(({ message }) => message),
      ...Object.entries(bench.lines.pins()).flatMap(([pin, drive]) =>
        drive === 'floating' ? [] : [`${pin} is left ${drive}`],
      ),
      ...this.#judgeFlash(),
      ...((await unfinishedJob({ store }, name)) === undefined ? [] : ['the journal is open']),
      ...(last !== undefined && leftKlipperStopped(last)
        ? ['the journal says that Klipper stands still']
        : []),
      ...((await readReplacement({ store }, name)) === undefined ? [] : ['a replacement is still owed']),
      ...(locks.holds(lockOf(name)) ? ['the lock is held'] : []),
      ...(bench.usb.visible().some(({ opened }) => opened) ? ['a USB device is left open'] : []),
      ...(await this.#judgePrinter()),
    ];
  }

  #judgeFlash(): readonly string[] {
    const { chip } = this.#world;
    const now = chip.version;
    const { old, next } = this.#versions;
    const firmware = this.#holdsNew() ? next : this.#isUntouched() ? old : undefined;
    if (firmware === undefined)
      return [`the flash holds neither the old nor the new firmware, and ${now ?? 'nothing'} runs`];
    return [
      ...(now === firmware ? [] : [`the flash holds ${firmware}, and ${now ?? 'nothing'} runs`]),
      ...(this.#isElsewhereUntouched() ? [] : ['something was written outside of the application']),
    ];
  }

  /** Klipper runs; whoever sees it in its error state after the board was away presses Restart, and it is ready. */
  async #judgePrinter(): Promise<readonly string[]> {
    const { printer } = this.#world.bench;
    if (!printer.serviceRunning) return ['Klipper is left stopped'];
    if ((await printer.verdict(READY_MS)).state === 'ready') return [];
    await printer.stopKlipper();
    await printer.startKlipper();
    const verdict = await printer.verdict(READY_MS);
    return verdict.state === 'ready'
      ? []
      : [`Klipper does not get ready: ${verdict.state === 'not_ready' ? verdict.reason : ''}`];
  }

  #holdsNew(): boolean {
    const { image, place, chip } = this.#world;
    return equalBytes(chip.flash.peek(place.board.applicationAddress, image.length), image);
  }

  #isUntouched(): boolean {
    return equalBytes(this.#flash(), this.#before);
  }

  /** Outside of the sectors that the image lies in. */
  #isElsewhereUntouched(): boolean {
    const { image, place } = this.#world;
    const { board } = place;
    const from = board.applicationAddress - board.mcu.flashBase;
    const last = board.mcu.sectors.findLast(
      ({ address }) => address < board.applicationAddress + image.length,
    );
    const end = (last?.address ?? 0) + (last?.sizeBytes ?? 0) - board.mcu.flashBase;
    const now = this.#flash();
    return (
      equalBytes(now.subarray(0, from), this.#before.subarray(0, from)) &&
      equalBytes(now.subarray(end), this.#before.subarray(end))
    );
  }

  #flash(): Uint8Array {
    const { mcu } = this.#world.place.board;
    const size = mcu.sectors.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return this.#world.chip.flash.peek(mcu.flashBase, size).slice();
  }
}
