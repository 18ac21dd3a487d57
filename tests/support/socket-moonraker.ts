// A Moonraker on a Unix socket, for programs that are processes of their own: answers by name, texts that end with 0x03.
import { rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';

// oxlint-disable-next-line typescript/no-explicit-any -- whatever a client asks
type Params = any;
export type SocketAnswer = (params: Params) => unknown;

export class SocketMoonraker {
  /** Every method that somebody asked for, in order. */
  readonly asked: string[] = [];
  readonly params: Params[] = [];
  /** By method; what throws is answered as an error with its message; what is undefined never. */
  readonly answers = new Map<string, SocketAnswer>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.answers.set('server.connection.identify', () => ({ connection_id: 1 }));
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
      let text = '';
      socket.on('data', (chunk) => {
        const parts = (text + chunk.toString()).split('\x03');
        text = parts.pop() ?? '';
        for (const part of parts) this.#answer(socket, JSON.parse(part));
      });
    });
  }

  static async listen(path: string): Promise<SocketMoonraker> {
    const moonraker = new SocketMoonraker();
    await mkdir(dirname(path), { recursive: true });
    rmSync(path, { force: true });
    await new Promise<void>((resolve) => moonraker.#server.listen(path, resolve));
    return moonraker;
  }

  notify(method: string): void {
    for (const socket of this.#sockets) socket.write(`${JSON.stringify({ jsonrpc: '2.0', method })}\x03`);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #answer(socket: Socket, { id, method, params }: { id?: number; method: string; params?: Params }): void {
    this.asked.push(method);
    this.params.push(params);
    const answer = this.answers.get(method);
    if (id === undefined) return;
    const send = (rest: object) => socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...rest })}\x03`);
    if (answer === undefined) {
      send({ error: { code: -32_601, message: 'Method not found' } });
      return;
    }
    try {
      const result = answer(params);
      if (result !== undefined) send({ result });
    } catch (error) {
      send({ error: { code: 503, message: String(error).replace(/^Error: /, '') } });
    }
  }
}
