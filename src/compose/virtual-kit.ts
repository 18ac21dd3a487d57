// Composition, a kit on the virtual bench: fresh at every command, or kept in a folder.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { create, enums, integer, optional, string, type, type Infer } from 'superstruct';
import type { Settings } from '../cli/world.ts';
import { OctopusError } from '../errors.ts';
import { SocketLocks } from '../hardware/locks.ts';
import { FileStore } from '../hardware/store.ts';
import type { JobKit } from '../jobs/runner.ts';
import type { Store } from '../ports/store.ts';
import { createBench, type BenchOptions, type VirtualBench } from '../virtual/bench.ts';
import type { BenchClock } from '../virtual/clock.ts';
import { BOARD_STATES, type BoardState } from '../virtual/board-data.ts';
import { toolheadsOnBus } from '../virtual/toolheads.ts';
import { pathsFor } from './paths.ts';

export interface VirtualKit {
  readonly kit: JobKit;
  readonly bench: VirtualBench;
  /** How many toolheads were asked for, now or when the board was kept. */
  readonly nodes: number | undefined;
  readonly dispose: () => Promise<void>;
}

/**
 * Throws `busy` when another process uses the same kept board, `bad-parameter`, `unknown-board`.
 *
 * @param special what this bench has that others have not
 */
export async function openVirtualKit(
  settings: Settings,
  board: string,
  special: Partial<BenchOptions> = {},
): Promise<VirtualKit> {
  const { virtualDir } = settings;
  const folder = pathsFor({ ...settings, virtual: board }).data;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const locks = new SocketLocks(`virtual:${shortHash(realpathSync(folder))}:`);
  // A kept board is a folder of files: two processes at once would each believe that it is theirs.
  const release = virtualDir === undefined ? async () => {} : await locks.acquire('bench');
  try {
    const asked = BOARD_STATES.find((known) => known === settings.state);
    const given = { state: asked, nodes: settings.nodes };
    const { state = 'used', nodes } = virtualDir === undefined ? given : kept(virtualDir, board, given);
    const bench = await createBench({
      board,
      state,
      clock: settings.fast ? 'virtual' : 'real',
      times: settings.worst ? 'worst' : 'typical',
      ...(virtualDir === undefined ? {} : { keepDir: resolve(virtualDir) }),
      ...special,
      ...(nodes === undefined ? {} : { can: { nodes: toolheadsOnBus(nodes) } }),
    });
    killAt(process.env['OCTOPUS_VIRTUAL_KILL_AT'], (listener) => bench.lines.onLineChange(listener));
    const { can, clock, gpio, printer, serial, usb } = bench;
    const disk = holding(new FileStore(folder), clock);
    // A board that is fresh at every command must not be taken for the one of the last command.
    const store = virtualDir === undefined ? backupsOnDisk(bench.store, disk) : disk;
    const heldLocks = { acquire: (name: string) => clock.hold(locks.acquire(name)) };
    return {
      kit: { can, clock, gpio, printer, serial, usb, store, locks: heldLocks },
      bench,
      nodes,
      dispose: async () => {
        bench.dispose();
        await release();
      },
    };
  } catch (error) {
    await release();
    throw error;
  }
}

const KeptLabel = type({ board: string(), state: enums(BOARD_STATES), nodes: optional(integer()) });

interface Begun {
  readonly state?: BoardState | undefined;
  readonly nodes?: number | undefined;
}

/** A kept board stays the board it is, and what it and its toolheads hold is in their flash; asking for another is a mistake. */
function kept(folder: string, board: string, { state, nodes }: Begun): Begun {
  const label = join(folder, 'board.json');
  mkdirSync(folder, { recursive: true });
  let begun: Infer<typeof KeptLabel> = { board, state: state ?? 'used' };
  if (existsSync(label)) {
    begun = create(JSON.parse(readFileSync(label, 'utf8')), KeptLabel);
    const is = begun.nodes === undefined ? '' : ` with ${begun.nodes} toolheads`;
    const isOther = begun.board !== board || (state !== undefined && state !== begun.state);
    if (isOther || (nodes !== undefined && nodes !== (begun.nodes ?? nodes))) {
      throw new OctopusError(
        'bad-parameter',
        `${folder} holds an ${begun.board} that began as "${begun.state}"${is}`,
        {
          place: '--virtual-dir',
          advice: 'Choose another folder for another board, or remove this one.',
        },
      );
    }
  }
  if (nodes !== undefined) begun = { ...begun, nodes };
  writeFileSync(label, `${JSON.stringify(begun)}\n`);
  return begun;
}

/** Virtual time stands still while the disk works, so that its speed does not show on the board. */
function holding(store: Store, clock: BenchClock): Store {
  return {
    read: (key) => clock.hold(store.read(key)),
    write: (key, bytes) => clock.hold(store.write(key, bytes)),
    list: (prefix) => clock.hold(store.list(prefix)),
    remove: (key) => clock.hold(store.remove(key)),
  };
}

function backupsOnDisk(memory: Store, disk: Store): Store {
  const pick = (key: string) => (/^backups(\/|$)/.test(key) ? disk : memory);
  return {
    read: (key) => pick(key).read(key),
    write: (key, bytes) => pick(key).write(key, bytes),
    list: (prefix) => pick(prefix).list(prefix),
    remove: (key) => pick(key).remove(key),
  };
}

/** For the tests: dies as hard as a process can, at the n-th change of a line. */
function killAt(
  n: string | undefined,
  onLineChange: (listener: (change: { n: number }) => void) => void,
): void {
  if (n === undefined) return;
  onLineChange((change) => {
    if (change.n === Number(n)) process.kill(process.pid, 'SIGKILL');
  });
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
