// Moonraker, the agent: a table of methods served on one link, and the events of its jobs.
import type { Clock } from '../ports/clock.ts';
import type { Identity } from './introduce.ts';
import { JobEvents } from './job-events.ts';
import { MoonrakerLink, type LinkEvent } from './link.ts';
import type { MethodTable } from './serving.ts';
import type { Dialer } from './wire.ts';

export interface AgentParts {
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly identity: Identity;
  /** Every method that clients may ask for; changing it later changes nothing. */
  readonly methods: MethodTable;
  /** Those of them that macros may call too; all of them unless given. */
  readonly remoteMethods?: readonly string[];
  readonly onEvent: (event: LinkEvent) => void;
}

export interface Agent {
  readonly link: MoonrakerLink;
  readonly events: JobEvents;
  /** Connects and reconnects until `signal` is aborted; never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

/** Names that Moonraker or Klipper need for themselves cannot be served. Throws TypeError. */
export function createAgent(parts: AgentParts): Agent {
  const methods = new Map(parts.methods);
  const remoteMethods = parts.remoteMethods ?? [...methods.keys()];
  for (const name of [...methods.keys(), ...remoteMethods]) {
    // With a prefix no name can meet a notification or another component's remote method.
    if (!/^[a-z]+\.[a-z_]+$/.test(name) || !methods.has(name))
      throw new TypeError(`${name} cannot be served`);
  }
  const link = new MoonrakerLink({ ...parts, methods, remoteMethods });
  const events = new JobEvents(parts.clock, (method, params) => link.notify(method, params));
  link.onUp(() => events.resend());
  return { link, events, run: (signal) => link.run(signal) };
}
