// Daemon, put together: one desk for all, and for each printer of the configuration an agent at its Moonraker.
import { join } from 'node:path';
import { absentPrinter } from '../compose/absent-printer.ts';
import { dataPathOf, type Configuration } from '../compose/configuration.ts';
import type { Paths } from '../compose/paths.ts';
import type { JobKit } from '../jobs/runner.ts';
import type { Logger } from '../log.ts';
import type { BoardBook } from '../methods/boards.ts';
import { ownImages, remoteImages, type ImageSource } from '../methods/image-source.ts';
import type { Audit } from './audit.ts';
import { Desk } from './desk.ts';
import { isRemote, type Origin } from './origin.ts';
import { PrinterAgent } from './printer-agent.ts';

export interface OfficeParts {
  readonly kit: JobKit;
  readonly boards: BoardBook;
  readonly configuration: Configuration;
  readonly paths: Paths;
  readonly version: string;
  readonly audit: Audit;
  readonly log: Logger;
  /** The kit's own printer is used instead of Moonraker's. */
  readonly hasOwnPrinter: boolean;
  /** One line about the connections, for systemctl status. */
  readonly onLink: (status: string) => void;
}

export interface Office {
  readonly desk: Desk;
  readonly agents: readonly PrinterAgent[];
  /** The agent that has to be connected before the board's printer can be asked; none for a printer of the kit's own. */
  readonly awaited: (board: string) => PrinterAgent | undefined;
  /** The kit for a board, with its own printer. */
  readonly kitOf: (board: string) => JobKit;
}

export function openOffice(parts: OfficeParts): Office {
  const { kit, boards, configuration, paths, version, audit, log } = parts;
  const { settings, hostFile } = configuration;
  const settingsOf = (name: string | undefined) => settings.boards.find((board) => board.name === name);
  const agents: readonly PrinterAgent[] = settings.printers.flatMap((printer) => {
    const { moonraker: address, name } = printer;
    if (address.kind === 'none') return [];
    return [
      new PrinterAgent({
        settings: printer,
        address,
        version,
        clock: kit.clock,
        log: log.child({ printer: name }),
        desk: () => desk,
        onLink: () => parts.onLink(statusOf(agents)),
      }),
    ];
  });
  const named = (name: string | undefined) => agents.find((agent) => agent.name === name);
  const agentOf = (board: string | undefined) =>
    named(settingsOf(board)?.printer) ?? (settings.printers.length === 1 ? agents[0] : undefined);
  const isWithoutPrinter = (board: string | undefined) => {
    const [only, ...others] = settings.printers;
    const own = settings.printers.find(({ name }) => name === settingsOf(board)?.printer);
    return (own ?? (others.length === 0 ? only : undefined))?.moonraker.kind === 'none';
  };
  const isArmed = async () => (await hostFile.read()).isArmed;
  const kitFor = (board: string | undefined, origin: Pick<Origin, 'printer'>): JobKit => {
    const agent = board === undefined ? (named(origin.printer) ?? agentOf(board)) : agentOf(board);
    if (parts.hasOwnPrinter) return kit;
    if (isWithoutPrinter(board)) return { ...kit, printer: absentPrinter };
    if (agent === undefined) return kit;
    return { ...kit, printer: agent.printer(settingsOf(board)?.mcu ?? 'mcu') };
  };
  const desk: Desk = new Desk({
    boards,
    kitFor,
    // One printer's screen has no say over the board of another.
    mayName: (board, origin) =>
      origin.printer === undefined || (settingsOf(board)?.printer ?? origin.printer) === origin.printer,
    images: (origin) => imagesFor(origin, configuration, paths),
    isArmed,
    facts: async () => ({
      version,
      // A host.conf that cannot be read opens nothing.
      isArmed: await isArmed().catch(() => false),
      printers: agents.map(({ name, isUp }) => ({ name, moonraker: isUp ? 'up' : 'down' })),
    }),
    audit,
    onFault: (fault) => log.error({ err: fault }, 'an event of a job could not be told'),
  });
  desk.onJobEvent((event, origin) => {
    log.debug({ origin, ...event }, 'job');
    const board = settingsOf(event.board);
    const notifier =
      board?.notifier ?? settings.printers.find(({ name }) => name === board?.printer)?.notifier;
    agentOf(event.board)?.tell(event, origin, notifier);
  });
  return {
    desk,
    agents,
    awaited: (board) => (parts.hasOwnPrinter ? undefined : agentOf(board)),
    kitOf: (board) => kitFor(board, { printer: undefined }),
  };
}

function imagesFor(origin: Origin, { settings, hostFile }: Configuration, paths: Paths): ImageSource {
  if (!isRemote(origin)) return ownImages(paths.home);
  const [first] = settings.printers;
  const printer = settings.printers.find(({ name }) => name === origin.printer) ?? first;
  const dataPath = printer === undefined ? paths.printerData : dataPathOf(printer, paths);
  return remoteImages(() => hostFile.imageRights(join(dataPath, 'config', 'firmware')), paths.home);
}

function statusOf(agents: readonly PrinterAgent[]): string {
  return agents
    .map(({ name, isUp }) => `${name}: Moonraker ${isUp ? 'connected' : 'not connected'}`)
    .join(', ');
}
