// As much of a Moonraker as the daemon needs to work: a Unix socket that notes when what arrived.
import { createServer, type Server, type Socket } from 'node:net';

type Message = Record<string, any>; // oxlint-disable-line typescript/no-explicit-any
const END = '\x03';

export class TinyMoonraker {
  /** Everything the agent sent, with this process's time, ms. */
  readonly heard: { readonly at: number; readonly message: Message }[] = [];
  #isKlipperUp = true;
  #socket: Socket | undefined;
  #server: Server | undefined;
  #id = 0;
  readonly #answers = new Map<number, (message: Message) => void>();
  #onMessage: (message: Message) => void = () => {};

  async listen(path: string): Promise<void> {
    this.#server = createServer((socket) => this.#serve(socket));
    await new Promise<void>((resolve) => this.#server?.listen(path, resolve));
  }

  /** As a client's `server.extensions.request`; answers result or error. */
  ask(method: string, params: object): Promise<Message> {
    const id = ++this.#id;
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
      this.#send({ jsonrpc: '2.0', method, id, params });
    });
  }

  /** The first message that fits, from now on or of those already heard. */
  async waitFor(fits: (message: Message) => boolean): Promise<{ at: number; message: Message }> {
    for (;;) {
      const found = this.heard.find(({ message }) => fits(message));
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        this.#onMessage = () => resolve();
      });
    }
  }

  close(): void {
    this.#socket?.destroy();
    this.#server?.close();
  }

  #serve(socket: Socket): void {
    this.#socket = socket;
    let text = '';
    socket.setEncoding('utf8');
    socket.on('error', () => {});
    // Moonraker's own heartbeat: each second.
    const beat = setInterval(
      () => this.#send({ jsonrpc: '2.0', method: 'notify_proc_stat_update', params: [] }),
      1000,
    );
    socket.on('close', () => clearInterval(beat));
    socket.on('data', (chunk: string) => {
      text += chunk;
      const parts = text.split(END);
      text = parts.pop() ?? '';
      for (const part of parts) this.#take(JSON.parse(part) as Message);
    });
  }

  #take(message: Message): void {
    this.heard.push({ at: performance.now(), message });
    if ('method' in message) this.#answer(message);
    else this.#answers.get(message['id'])?.(message);
    this.#onMessage(message);
  }

  #answer({ id, method, params }: Message): void {
    if (id === undefined) return;
    this.#send({ jsonrpc: '2.0', id, result: this.#resultOf(method, params) });
  }

  #resultOf(method: string, params: Message): unknown {
    switch (method) {
      case 'machine.services.stop':
      case 'machine.services.start':
        this.#isKlipperUp = method.endsWith('start');
        return 'ok';
      case 'machine.system_info': {
        const active_state = this.#isKlipperUp ? 'active' : 'inactive';
        const sub_state = this.#isKlipperUp ? 'running' : 'dead';
        const service_state = { klipper: { active_state, sub_state } };
        return { system_info: { instance_ids: { klipper: 'klipper' }, service_state } };
      }
      case 'server.info':
        return {
          klippy_connected: this.#isKlipperUp,
          klippy_state: this.#isKlipperUp ? 'ready' : 'disconnected',
        };
      case 'printer.objects.query':
        return {
          status: Object.fromEntries(
            Object.keys(params['objects']).map((name) => [name, OBJECTS[name] ?? {}]),
          ),
        };
      case 'printer.gcode.help':
        return { RESPOND: '' };
      default:
        return 'ok';
    }
  }

  #send(message: Message): void {
    this.#socket?.write(JSON.stringify(message) + END);
  }
}

const OBJECTS: Readonly<Record<string, object>> = {
  webhooks: { state: 'ready' },
  heaters: { available_heaters: ['extruder'] },
  extruder: { target: 0, temperature: 22 },
  print_stats: { state: 'standby' },
  idle_timeout: { state: 'Idle' },
  pause_resume: { is_paused: false },
  virtual_sdcard: { is_active: false },
  toolhead: { homed_axes: '' },
  mcu: { mcu_version: 'v0.13.0-2' },
};
