// Composition, how a configured Moonraker is reached.
import type { MoonrakerAddress } from '../config/locations.ts';
import { unixDialer } from '../moonraker/unix-wire.ts';
import { webSocketDialer } from '../moonraker/websocket-wire.ts';
import type { Dialer } from '../moonraker/wire.ts';

export function dialerOf(
  address: Exclude<MoonrakerAddress, { kind: 'none' }>,
  apiKey: string | undefined,
): Dialer {
  if (address.kind === 'unix') return unixDialer(address.path);
  return webSocketDialer({ url: address.url, ...(apiKey === undefined ? {} : { apiKey }) });
}
