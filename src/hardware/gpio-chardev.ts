// Hardware, port GpioHost: the kernel's character devices /dev/gpiochipN. The calls are made at once and not in a
// thread: on a processor's own pins they write a register; on a USB expander they take a millisecond.
import { closeSync } from 'node:fs';
import { open, readdir, realpath, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { OctopusError } from '../errors.ts';
import type { Boot0Drive, GpioHost, GpioLines, LinePins, NrstDrive } from '../ports/gpio.ts';
import { cannotOpenChips, heldLine, linesGone, samePin } from './gpio-errors.ts';
import { findLine, type Chip, type Place } from './gpio-pins.ts';
import * as uapi from './gpio-uapi.ts';
import type { Libc } from './libc.ts';
import { errnoOf, textOf, usedAfterClose } from './system-error.ts';

/** As `gpioinfo` shows it. */
const CONSUMER = 'octopus-flasher';

const numberOf = (name: string) => Number(name.slice('gpiochip'.length));

interface OpenChip extends Chip {
  readonly name: string;
  readonly aliases: string[];
  readonly file: FileHandle;
}

export class CharacterDeviceGpio implements GpioHost {
  readonly #libc: Libc;
  readonly #dev: string;

  constructor(libc: Libc, dev = '/dev') {
    this.#libc = libc;
    this.#dev = dev;
  }

  /** The devices' paths; without any, this is the wrong way on this host. */
  static async devices(dev = '/dev'): Promise<readonly string[]> {
    const names = await readdir(dev).catch((): string[] => []);
    return names
      .filter((name) => /^gpiochip\d+$/.test(name))
      .sort((a, b) => numberOf(a) - numberOf(b))
      .map((name) => join(dev, name));
  }

  async open(pins: LinePins): Promise<GpioLines> {
    const chips = await this.#openChips();
    try {
      const boot0 = findLine(pins.boot0, chips);
      const nrst = findLine(pins.nrst, chips);
      if (boot0.chip === nrst.chip && boot0.line === nrst.line) throw samePin(pins.nrst);
      const requests = this.#request(boot0, nrst);
      const kept = new Set(requests.map(({ chip }) => chip));
      const [unused, used] = [
        chips.filter((chip) => !kept.has(chip)),
        chips.filter((chip) => kept.has(chip)),
      ];
      chips.splice(0, chips.length, ...unused);
      return new CharacterDeviceLines(
        requests,
        used.map(({ file }) => file),
      );
    } finally {
      for (const { file } of chips) await file.close();
    }
  }

  /** On one chip both lines are one request; on two there is one each. */
  #request(boot0: Place<OpenChip>, nrst: Place<OpenChip>): readonly LineRequest[] {
    const both = [
      { role: 'boot0', line: boot0.line },
      { role: 'nrst', line: nrst.line },
    ] as const;
    if (boot0.chip === nrst.chip) return [new LineRequest(this.#libc, boot0.chip, both)];
    const first = new LineRequest(this.#libc, boot0.chip, [both[0]]);
    try {
      return [first, new LineRequest(this.#libc, nrst.chip, [both[1]])];
    } catch (error) {
      first.close();
      throw error;
    }
  }

  async #openChips(): Promise<OpenChip[]> {
    const paths = await CharacterDeviceGpio.devices(this.#dev);
    const chips: OpenChip[] = [];
    let refused: { path: string; error: unknown } | undefined;
    for (const path of paths) {
      const target = basename(await realpath(path).catch(() => path));
      if (target === basename(path)) {
        try {
          chips.push(await this.#openChip(path));
        } catch (error) {
          refused ??= { path, error };
        }
      }
    }
    for (const path of paths) {
      const target = basename(await realpath(path).catch(() => path));
      if (target !== basename(path)) chips.find(({ name }) => name === target)?.aliases.push(basename(path));
    }
    if (chips.length > 0) return chips;
    throw cannotOpenChips(refused?.path ?? join(this.#dev, 'gpiochip*'), refused?.error);
  }

  async #openChip(path: string): Promise<OpenChip> {
    const file = await open(path, 'r+');
    try {
      const info = uapi.newChipInfo();
      this.#libc.ioctl(file.fd, uapi.GET_CHIPINFO, info);
      const { label, lines } = uapi.decodeChipInfo(info);
      const lineNames = () =>
        Array.from({ length: lines }, (_, line) => lineInfo(this.#libc, file, line).name);
      return { name: basename(path), aliases: [], label, lines, file, lineNames };
    } catch (error) {
      await file.close();
      throw error;
    }
  }
}

interface RequestedLine {
  readonly role: 'boot0' | 'nrst';
  readonly line: number;
}

/** Lines of one chip that are ours, floating from the first moment. */
class LineRequest {
  readonly chip: OpenChip;
  readonly #libc: Libc;
  readonly #lines: readonly RequestedLine[];
  readonly #fd: number;

  /** Throws `busy` naming who holds a line. */
  constructor(libc: Libc, chip: OpenChip, lines: readonly RequestedLine[]) {
    [this.#libc, this.chip, this.#lines] = [libc, chip, lines];
    const request = uapi.encodeRequest(
      lines.map(({ line }) => line),
      CONSUMER,
      this.#configs({ boot0: 'floating', nrst: 'floating' }),
    );
    try {
      libc.ioctl(chip.file.fd, uapi.GET_LINE, request);
    } catch (error) {
      throw this.#refusal(error);
    }
    this.#fd = uapi.requestedFd(request);
  }

  set(levels: { readonly boot0: Boot0Drive; readonly nrst: NrstDrive }): void {
    this.#libc.ioctl(this.#fd, uapi.SET_CONFIG, uapi.encodeConfig(this.#configs(levels)));
  }

  read(): ReadonlyMap<RequestedLine['role'], { level: 'high' | 'low'; driven: boolean }> {
    const values = uapi.newValues(this.#lines.length);
    this.#libc.ioctl(this.#fd, uapi.GET_VALUES, values);
    return new Map(
      this.#lines.map(({ role, line }, index) => [
        role,
        { level: uapi.valueAt(values, index), driven: lineInfo(this.#libc, this.chip.file, line).isOutput },
      ]),
    );
  }

  close(): void {
    closeSync(this.#fd);
  }

  #configs(levels: { readonly boot0: Boot0Drive; readonly nrst: NrstDrive }): readonly uapi.LineConfig[] {
    return this.#lines.map(({ role }) =>
      role === 'boot0' ? { role, state: levels.boot0 } : { role, state: levels.nrst },
    );
  }

  #refusal(error: unknown): OctopusError {
    const held = this.#lines
      .map(({ line }) => ({ line, ...lineInfo(this.#libc, this.chip.file, line) }))
      .find(({ isUsed }) => isUsed);
    if (errnoOf(error) === 'EBUSY') return heldLine(this.chip, held);
    const place = this.#lines.map(({ line }) => `${this.chip.name}/${line}`).join(' and ');
    return new OctopusError('no-hardware', `${place} cannot be used: ${textOf(error)}`, {
      place,
      advice:
        errnoOf(error) === 'EINVAL'
          ? 'The kernel must be 5.10 or newer: uname -r shows it.'
          : 'Look at what the kernel says: sudo dmesg.',
      cause: error,
    });
  }
}

function lineInfo(libc: Libc, file: FileHandle, line: number): uapi.LineInfo {
  const info = uapi.newLineInfo(line);
  libc.ioctl(file.fd, uapi.GET_LINEINFO, info);
  return uapi.decodeLineInfo(info);
}

class CharacterDeviceLines implements GpioLines {
  readonly #requests: readonly LineRequest[];
  readonly #files: readonly FileHandle[];
  #levels: { boot0: Boot0Drive; nrst: NrstDrive } = { boot0: 'floating', nrst: 'floating' };
  #isClosed = false;

  constructor(requests: readonly LineRequest[], files: readonly FileHandle[]) {
    [this.#requests, this.#files] = [requests, files];
  }

  async set(levels: { boot0?: Boot0Drive; nrst?: NrstDrive }): Promise<void> {
    this.#check();
    this.#levels = { ...this.#levels, ...levels };
    try {
      for (const request of this.#requests) request.set(this.#levels);
    } catch (error) {
      throw linesGone(error);
    }
  }

  async read(): Promise<{ boot0: 'high' | 'low'; nrst: 'high' | 'low'; driven: boolean }> {
    this.#check();
    try {
      const seen = new Map(this.#requests.flatMap((request) => [...request.read()]));
      const [boot0, nrst] = [seen.get('boot0'), seen.get('nrst')];
      const driven = boot0?.driven === true || nrst?.driven === true;
      return { boot0: boot0?.level ?? 'low', nrst: nrst?.level ?? 'low', driven };
    } catch (error) {
      throw linesGone(error);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      for (const request of this.#requests) request.set({ boot0: 'floating', nrst: 'floating' });
    } catch {
      // The chip is gone, and its lines with it.
    } finally {
      for (const request of this.#requests) request.close();
      for (const file of this.#files) await file.close();
    }
  }

  #check(): void {
    if (this.#isClosed) throw usedAfterClose('a GPIO line');
  }
}
