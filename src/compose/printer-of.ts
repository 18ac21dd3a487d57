// Composition, whose printer a command without a daemon is about.
import type { Printer } from '../ports/printer.ts';
import { systemClock } from '../hardware/clock.ts';
import { absentPrinter, unreachablePrinter, whichPrinter } from './absent-printer.ts';
import { CommandPrinter } from './command-printer.ts';
import type { Configuration } from './configuration.ts';

const nothingToClose = async (): Promise<void> => {};

/** @param board the one that the command names, or the only one there is */
export function printerOf(
  { settings: { boards, printers } }: Pick<Configuration, 'settings'>,
  board: string | undefined,
  version: string,
): { readonly printer: Printer; readonly close: () => Promise<void> } {
  const own = boards.find(({ name }) => name === board);
  const [only, ...others] = printers;
  const settings =
    printers.find(({ name }) => name === own?.printer) ?? (others.length === 0 ? only : undefined);
  if (settings === undefined) {
    const names = printers.map(({ name }) => name);
    return { printer: unreachablePrinter(() => whichPrinter(names)), close: nothingToClose };
  }
  const { moonraker: address, apiKey } = settings;
  if (address.kind === 'none') return { printer: absentPrinter, close: nothingToClose };
  const printer = new CommandPrinter({
    address,
    apiKey,
    mcu: own?.mcu ?? 'mcu',
    version,
    clock: systemClock,
  });
  return { printer, close: () => printer.close() };
}
