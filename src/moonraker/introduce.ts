// Moonraker, the first words on a connection: who we are, and what macros may call.
import { OctopusError } from '../errors.ts';
import { MoonrakerRefusal } from './rpc-errors.ts';
import type { Session } from './session.ts';

export interface Identity {
  /** The agent's name, which clients ask for. Case matters. */
  readonly name: string;
  readonly version: string;
  readonly url: string;
  /** `other` registers no name and is called by nobody. Default: agent. */
  readonly type?: 'agent' | 'other';
  /** Only where Moonraker asks for one: never on its Unix socket. */
  readonly apiKey?: string;
}

const TIMEOUT_MS = 10_000;

/**
 * Throws `printer-unreachable` with what to do. After any failure the connection is of no use: Moonraker lets one
 * that was refused as a duplicate never identify again (moonraker/components/websockets.py).
 */
export async function identify(session: Session, identity: Identity, place: string): Promise<void> {
  const { name, version, url, type = 'agent', apiKey } = identity;
  const params = {
    client_name: name,
    version,
    type,
    url,
    ...(apiKey === undefined ? {} : { api_key: apiKey }),
  };
  try {
    await session.request('server.connection.identify', params, TIMEOUT_MS);
  } catch (cause) {
    if (!(cause instanceof MoonrakerRefusal)) throw cause;
    throw new OctopusError(
      'printer-unreachable',
      `Moonraker refuses the ${type === 'agent' ? 'agent' : 'client'} ${name}: ${cause.message}`,
      {
        place,
        advice: adviceFor(cause.message),
        cause,
      },
    );
  }
}

function adviceFor(refusal: string): string {
  if (/already registered/i.test(refusal))
    return 'Another octopus is connected to this Moonraker: stop it, or wait until Moonraker notices that it is gone.';
  if (/unauthorized|api key|authenticat/i.test(refusal))
    return "Set the right api_key, use Moonraker's Unix socket, or add this host to trusted_clients in moonraker.conf.";
  return "See Moonraker's log for the reason.";
}

/**
 * Registrations belong to the connection, so this follows every identify; Klipper's own restarts need nothing.
 * Returns what Moonraker refused, in words: the agent works without macros. Throws when Moonraker is silent.
 */
export async function registerRemoteMethods(session: Session, names: readonly string[]): Promise<string[]> {
  const outcomes = await Promise.all(
    names.map(async (name) => {
      try {
        await session.request('connection.register_remote_method', { method_name: name }, TIMEOUT_MS);
        return [];
      } catch (thrown) {
        if (!(thrown instanceof MoonrakerRefusal)) throw thrown;
        return [`macros cannot call ${name}: ${thrown.message}`];
      }
    }),
  );
  return outcomes.flat();
}
