// Hardware, port Locks: one abstract Unix socket per lock. The kernel takes it back when its process dies,
// however that dies; no file stays behind that would have to be judged stale.
import { createHash } from 'node:crypto';
import { createConnection, createServer, type Server } from 'node:net';
import { OctopusError } from '../errors.ts';
import type { Locks } from '../ports/locks.ts';

/** Linux, unix(7): sun_path holds 108 bytes, one of them the leading zero. */
const NAME_MAX_BYTES = 107;
/** A holder that is busy with a long step may answer late; the lock is held either way. */
const ASK_MS = 200;

export class SocketLocks implements Locks {
  readonly #scope: string;

  /** @param scope keeps apart what shares names but not things: each virtual bench has its own boards */
  constructor(scope = '') {
    this.#scope = scope;
  }

  async acquire(name: string): Promise<() => Promise<void>> {
    const address = addressOf(`${this.#scope}${name}`);
    const server = createServer((socket) => {
      // Who asks has found the lock taken and wants to tell its user by whom.
      socket.on('error', () => {});
      socket.end(String(process.pid));
    });
    await listen(server, address).catch(async (error: unknown) => {
      throw await refusal(name, address, error);
    });
    // A lock alone is no reason to keep the process alive.
    server.unref();
    return async () => {
      if (!server.listening) return;
      await new Promise<void>((resolve) => server.close(() => resolve()));
    };
  }
}

function addressOf(name: string): string {
  const full = `octopus-flasher:${process.getuid?.() ?? 0}:${name}`;
  if (Buffer.byteLength(full) <= NAME_MAX_BYTES) return `\0${full}`;
  return `\0octopus-flasher:${createHash('sha256').update(full).digest('hex')}`;
}

function listen(server: Server, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path: address, exclusive: true }, () => {
      server.off('error', reject);
      server.on('error', () => {});
      resolve();
    });
  });
}

async function refusal(name: string, address: string, cause: unknown): Promise<OctopusError> {
  const isTaken =
    typeof cause === 'object' && cause !== null && 'code' in cause && cause.code === 'EADDRINUSE';
  if (!isTaken) {
    return new OctopusError('store-failed', `the lock ${name} cannot be taken: ${String(cause)}`, {
      place: name,
      advice: 'Check that this host lets programs use Unix sockets.',
      cause,
    });
  }
  const pid = await holderOf(address);
  const who = pid === undefined ? 'another process' : `process ${pid}`;
  return new OctopusError('busy', `${who} is at work on ${name}`, {
    place: name,
    advice: 'Wait until it has ended, or cancel it.',
  });
}

function holderOf(address: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let said = '';
    const socket = createConnection({ path: address });
    socket.setTimeout(ASK_MS, () => socket.destroy());
    socket.on('data', (chunk) => (said += chunk.toString('latin1')));
    socket.on('error', () => {});
    socket.on('close', () => resolve(/^\d{1,10}$/.test(said) ? said : undefined));
  });
}
