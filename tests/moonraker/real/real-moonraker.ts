// A real Moonraker on loopback with a data folder of its own, and a plain client beside the agent.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { freePort } from '../../support/free-port.ts';

type Message = Record<string, any>; // oxlint-disable-line typescript/no-explicit-any

/** Polls: for what a process outside does. The time is a limit, never an expectation. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const until = Date.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > until) throw new Error(`not within 30 s: ${what}`);
    await sleep(50);
  }
}

export interface RealMoonrakerOptions {
  /** Nobody is trusted by address; WebSocket clients need the API key. */
  readonly needsKey?: boolean;
  /** The supervisord that controls Klipper; without it Moonraker controls no services. */
  readonly supervisorConfig?: string;
  /** Where Klippy listens, if not in Moonraker's own folder. */
  readonly klippySocket?: string;
}

/** The folder of Moonraker's programs, installed at the first call. */
export function programs(): string {
  return dirname(execFileSync(join(import.meta.dirname, 'setup.sh'), { encoding: 'utf8' }).trim());
}

export class RealMoonraker {
  readonly socketPath: string;
  readonly url: string;
  /** Its `printer_data`. */
  readonly folder: string;
  #process: ChildProcess;

  private constructor(folder: string, port: number) {
    this.folder = folder;
    this.#process = launch(folder);
    this.url = `http://127.0.0.1:${port}`;
    this.socketPath = join(folder, 'comms/moonraker.sock');
  }

  static async start({
    needsKey = false,
    supervisorConfig,
    klippySocket,
  }: RealMoonrakerOptions = {}): Promise<RealMoonraker> {
    const folder = mkdtempSync(join(tmpdir(), 'octopus-moonraker-'));
    for (const name of ['config', 'logs', 'comms']) mkdirSync(join(folder, name));
    const port = await freePort();
    writeFileSync(
      join(folder, 'config/moonraker.conf'),
      [
        '[server]',
        'host: 127.0.0.1',
        `port: ${port}`,
        `klippy_uds_address: ${klippySocket ?? join(folder, 'comms/klippy.sock')}`,
        '[machine]',
        ...(supervisorConfig === undefined
          ? ['provider: none']
          : ['provider: supervisord_cli', `supervisord_config_path: ${supervisorConfig}`]),
        'validate_service: False',
        'validate_config: False',
        '[authorization]',
        needsKey ? 'trusted_clients: 192.0.2.1' : 'trusted_clients: 127.0.0.1',
        '',
      ].join('\n'),
    );
    const moonraker = new RealMoonraker(folder, port);
    try {
      await moonraker.answers();
    } catch (error) {
      const log = moonraker.log();
      await moonraker.stop();
      throw new Error(log.slice(-4000), { cause: error });
    }
    return moonraker;
  }

  log(): string {
    return readFileSync(join(this.folder, 'logs/moonraker.log'), 'utf8');
  }

  /** Resolves when it can be asked. */
  async answers(): Promise<void> {
    await eventually('Moonraker answers', () => this.#isThere());
  }

  /** As hard as a process can die; its socket's file stays. */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }

  /** After `kill`, on the same port and folder. */
  async startAgain(): Promise<void> {
    this.#process = launch(this.folder);
    await this.answers();
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** POST as a browser or curl would. */
  async post(path: string, body: object): Promise<{ status: number; body: Message }> {
    const response = await fetch(this.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Message };
  }

  async #isThere(): Promise<true | undefined> {
    if (this.#process.exitCode !== null) throw new Error(`Moonraker ended with ${this.#process.exitCode}`);
    try {
      // Any answer will do: one that asks for a key is an answer.
      await fetch(`${this.url}/server/info`);
      return true;
    } catch {
      return undefined;
    }
  }
}

function launch(folder: string): ChildProcess {
  const bin = programs();
  return spawn(join(bin, 'moonraker'), ['-d', folder], {
    stdio: 'ignore',
    env: { ...process.env, PATH: `${bin}:${process.env['PATH'] ?? ''}` },
  });
}

/** A client like Mainsail: JSON-RPC over a WebSocket, written here so that it shares nothing with the agent. */
export class PlainClient {
  readonly heard: Message[] = [];
  /** Moonraker's or our own close, with its code (RFC 6455). */
  readonly closed: Promise<number>;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: Message) => void>();
  #id = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => socket.once('close', resolve));
    // Who waits for an answer then gets one that is none.
    socket.once('close', (code) => {
      for (const answer of this.#waiting.values()) answer({ closed: code });
    });
    socket.on('message', (data) => {
      const message = JSON.parse((data as Buffer).toString('utf8')) as Message;
      if ('method' in message) this.heard.push(message);
      else this.#waiting.get(message['id'])?.(message);
    });
  }

  static async connect(url: string): Promise<PlainClient> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/websocket`);
    await once(socket, 'open');
    return new PlainClient(socket);
  }

  ask(method: string, params: object = {}): Promise<Message> {
    const id = ++this.#id;
    if (this.#socket.readyState !== WebSocket.OPEN) return Promise.resolve({ closed: true });
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket.send(JSON.stringify({ jsonrpc: '2.0', method, params, id }));
    });
  }

  agent(method: string, args?: unknown): Promise<Message> {
    return this.ask('server.extensions.request', { agent: 'octopus', method, arguments: args });
  }

  /** The agent's events of one name, in the order they came. */
  events(name: string): Message[] {
    return this.heard
      .filter(({ method, params }) => method === 'notify_agent_event' && params[0].event === name)
      .map(({ params }) => params[0].data);
  }

  close(): void {
    this.#socket.terminate();
  }
}
