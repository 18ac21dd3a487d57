// A Moonraker for tests, without sockets: it answers as the real one was seen to, and misbehaves where told to.
import type { Clock } from '../../src/ports/clock.ts';
import type { Dialer, Wire, WireListener } from '../../src/moonraker/wire.ts';

type Message = Record<string, any>; // oxlint-disable-line typescript/no-explicit-any
/** Answers one method; throws RpcError; answers SILENCE to say nothing at all. */
export type Answerer = (params: Message, connection: FakeConnection) => unknown;

export const SILENCE = Symbol('silence');

export class RpcError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export class FakeConnection {
  readonly openedAt: number;
  /** Everything that came from the agent. */
  readonly received: Message[] = [];
  agent: Message | undefined;
  wasIdentified = false;
  remoteMethods: string[] = [];
  isOpen = true;
  readonly #listener: WireListener;

  constructor(listener: WireListener, openedAt: number) {
    this.#listener = listener;
    this.openedAt = openedAt;
  }

  send(message: unknown): void {
    this.sendText(typeof message === 'string' ? message : JSON.stringify(message));
  }

  sendText(text: string): void {
    queueMicrotask(() => {
      if (this.isOpen) this.#listener.message(text);
    });
  }

  sendTooLong(head: string, sizeBytes: number): void {
    this.#listener.tooLong(head, sizeBytes);
  }

  close(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#listener.closed(reason);
  }

  answersTo(id: unknown): Message[] {
    return this.received.filter((message) => !('method' in message) && message['id'] === id);
  }
}

export class FakeMoonraker implements Dialer {
  readonly place = '/run/fake/moonraker.sock';
  readonly connections: FakeConnection[] = [];
  readonly answers = new Map<string, Answerer>();
  /** When somebody tried to connect, in clock time. */
  readonly attempts: number[] = [];
  readonly events: Message[] = [];
  isListening = true;
  /** notify_proc_stat_update each second. */
  isBeating = true;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.answers.set('server.connection.identify', (params, connection) =>
      this.#identify(params, connection),
    );
    this.answers.set('connection.register_remote_method', ({ method_name }, connection) => {
      if (this.connections.some((other) => other.isOpen && other.remoteMethods.includes(method_name)))
        throw new RpcError(400, `Remote method (${method_name}) already registered`);
      connection.remoteMethods.push(method_name);
      return 'ok';
    });
    this.answers.set('connection.send_event', ({ event, data }) => {
      if (event === 'connected' || event === 'disconnected')
        throw new RpcError(400, `Event '${event}' is reserved`);
      this.events.push({ event, data, at: this.#clock.now() });
      return 'ok';
    });
  }

  /** The connection that is open now. */
  get now(): FakeConnection {
    const open = this.connections.findLast((connection) => connection.isOpen);
    if (open === undefined) throw new Error('nobody is connected');
    return open;
  }

  async connect(listener: WireListener, signal: AbortSignal): Promise<Wire> {
    this.attempts.push(this.#clock.now());
    await Promise.resolve();
    signal.throwIfAborted();
    if (!this.isListening) throw new Error('connect ECONNREFUSED');
    const connection = new FakeConnection(listener, this.#clock.now());
    this.connections.push(connection);
    void this.#beat(connection);
    return {
      send: (text) => queueMicrotask(() => this.#receive(connection, text)),
      close: (reason) => connection.close(reason),
    };
  }

  notify(method: string, ...params: unknown[]): void {
    this.now.send({ jsonrpc: '2.0', method, ...(params.length === 0 ? {} : { params }) });
  }

  /** Dies and listens again after `ms`, as at server.restart. */
  async restart(ms: number): Promise<void> {
    this.isListening = false;
    for (const connection of this.connections) connection.close('Moonraker closed the connection');
    await this.#clock.sleep(ms);
    this.isListening = true;
  }

  #receive(connection: FakeConnection, text: string): void {
    if (!connection.isOpen) return;
    const message = JSON.parse(text) as Message;
    connection.received.push(message);
    const { id, method, params = {} } = message;
    if (method === undefined) return;
    const answerer = this.answers.get(method);
    let reply: Message;
    try {
      if (answerer === undefined) throw new RpcError(-32601, 'Method not found');
      const result = answerer(params, connection);
      if (result === SILENCE) return;
      reply = { jsonrpc: '2.0', result, id };
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      reply = { jsonrpc: '2.0', error: { code: error.code, message: error.message }, id };
    }
    if (id !== undefined) connection.send(reply);
  }

  #identify(params: Message, connection: FakeConnection): unknown {
    for (const key of ['client_name', 'version', 'type', 'url'])
      if (!(key in params)) throw new RpcError(400, `No data for argument: ${key}`);
    if (connection.wasIdentified) throw new RpcError(400, 'Connection already identified: {}');
    connection.wasIdentified = true;
    const name = params['client_name'];
    if (this.connections.some((other) => other.isOpen && other.agent?.['client_name'] === name))
      throw new RpcError(400, `Agent '${name}' already registered and connected'`);
    connection.agent = params;
    return { connection_id: 139_696_085_347_088 };
  }

  async #beat(connection: FakeConnection): Promise<void> {
    while (connection.isOpen) {
      await this.#clock.sleep(1000);
      if (this.isBeating)
        connection.send({ jsonrpc: '2.0', method: 'notify_proc_stat_update', params: [{}] });
    }
  }
}
