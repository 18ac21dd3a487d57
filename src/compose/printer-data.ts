// Composition, the printer's folder where none is named: the one that install.sh has chosen, which holds its list.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** KIAUH: `printer_data`, or with several printers `printer_1_data`, `printer_voron_data`. */
export function defaultPrinterData(home: string): string {
  const usual = join(home, 'printer_data');
  const folders = [usual, ...namesIn(home).map((name) => join(home, name))];
  return folders.find(isInstalled) ?? folders.find(isPrinter) ?? usual;
}

const isInstalled = (folder: string) => existsSync(join(folder, 'octopus-flasher', 'installed'));
const isPrinter = (folder: string) => existsSync(join(folder, 'config'));

function namesIn(home: string): readonly string[] {
  try {
    return readdirSync(home)
      .filter((name) => /^printer_.+_data$/.test(name))
      .sort();
  } catch {
    return [];
  }
}
