// Composition, where things lie on the host (design, "Names").
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Settings } from '../cli/world.ts';
import { defaultPrinterData } from './printer-data.ts';

export interface Paths {
  readonly home: string;
  /** Of Klipper and Moonraker: `~/printer_data`. */
  readonly printerData: string;
  /** Editable in Mainsail. */
  readonly config: string;
  /** Journal, history, backups; the owner's alone. */
  readonly data: string;
  /** The owner's own settings, in no folder of Moonraker. */
  readonly hostConf: string;
  readonly audit: string;
  /** The daemon's, where Mainsail shows logs. */
  readonly log: string;
  /** The daemon's, for the host's own user. */
  readonly socket: string;
}

type Chosen = Pick<Settings, 'data' | 'printerData' | 'virtual' | 'virtualDir'>;

/** What belongs to virtual boards lies apart from what belongs to real ones. */
export function pathsFor({ data, printerData: chosen, virtual, virtualDir }: Chosen): Paths {
  const home = homedir();
  const printerData = chosen === undefined ? defaultPrinterData(home) : resolve(chosen);
  const own = join(printerData, 'octopus-flasher');
  const stateHome = process.env['XDG_STATE_HOME'] ?? join(home, '.local', 'state');
  const virtualData =
    virtualDir === undefined
      ? join(stateHome, 'octopus-flasher', 'virtual')
      : join(resolve(virtualDir), 'data');
  return {
    home,
    printerData,
    config: join(printerData, 'config', 'octopus-flasher.conf'),
    data: data === undefined ? (virtual === undefined ? own : virtualData) : resolve(data),
    hostConf: join(own, 'host.conf'),
    audit: join(own, 'audit.log'),
    log: join(printerData, 'logs', 'octopus-flasher.log'),
    socket: join(printerData, 'comms', 'octopus-flasher.sock'),
  };
}
