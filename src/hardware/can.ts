// Hardware, port CanHost: a raw socket where koffi loads, the package socketcan where it does not.
import type { CanHost } from '../ports/can.ts';
import { RawCanHost } from './can-raw.ts';
import { SocketcanHost, type Socketcan } from './can-socketcan.ts';
import { loadLibc } from './libc.ts';
import { loadOptional } from './optional.ts';

export interface CanRoots {
  /** /sys/class/net */
  readonly net?: string;
  /** `socketcan` or `raw` where the choice is not to be made by what loads: OCTOPUS_CAN. */
  readonly force?: string | undefined;
}

export function hardwareCan({ net, force }: CanRoots = {}): CanHost {
  return {
    open: async (interfaceName) => {
      const libc = force === 'socketcan' ? 'socketcan is asked for' : await loadLibc();
      if (typeof libc !== 'string') return new RawCanHost(libc, net).open(interfaceName);
      return new SocketcanHost(await loadSocketcan(), net).open(interfaceName);
    },
  };
}

async function loadSocketcan(): Promise<Socketcan | string> {
  const loaded = await loadOptional('socketcan');
  if (typeof loaded === 'string') return loaded;
  return isSocketcan(loaded) ? loaded : 'the package socketcan has no createRawChannel';
}

function isSocketcan(loaded: object): loaded is Socketcan {
  return 'createRawChannel' in loaded && typeof loaded.createRawChannel === 'function';
}
