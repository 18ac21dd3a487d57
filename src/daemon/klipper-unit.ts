// Daemon, the name of a printer's Klipper unit where Moonraker cannot be asked: the unit whose words name its folder.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** KIAUH, kiauh/core/instance_manager: klipper.service, klipper-1.service, klipper-voron.service. */
const UNIT = /^klipper(-[0-9a-zA-Z]+)?\.service$/;

/**
 * Of the printer in `dataPath`; where there is one only, that one. Undefined where nothing fits.
 * @param folder where an installer puts units
 */
export function klipperUnitOf(dataPath: string, folder = '/etc/systemd/system'): string | undefined {
  const units = namesIn(folder).filter((name) => UNIT.test(name));
  const own = units.find((name) => wordsOf(join(folder, name)).some((word) => isBelow(word, dataPath)));
  return own ?? (units.length === 1 ? units[0] : undefined);
}

/** The unit's words, and those of the file that holds its arguments. */
function wordsOf(file: string): readonly string[] {
  const unit = textOf(file);
  const [, environment] = /^EnvironmentFile=-?(\S+)/m.exec(unit) ?? [];
  return `${unit}\n${environment === undefined ? '' : textOf(environment)}`.split(/[\s"'=]+/);
}

function isBelow(word: string, folder: string): boolean {
  return word.startsWith(`${folder.replace(/\/$/, '')}/`);
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
