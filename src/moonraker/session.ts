// Moonraker, one connection: JSON-RPC both ways. It ends once, and nothing of it reaches the next one: Moonraker
// uses request ids again, so an answer on another connection could answer somebody else.
import {
  JSONRPCClient,
  createJSONRPCErrorResponse,
  createJSONRPCRequest,
  isJSONRPCRequest,
  isJSONRPCResponse,
  type JSONRPCID,
  type JSONRPCRequest,
  type JSONRPCResponse,
} from 'json-rpc-2.0';
import { OctopusError } from '../errors.ts';
import type { Clock } from '../ports/clock.ts';
import { MAX_DEPTH, parseJson } from './json.ts';
import { later } from './later.ts';
import { MoonrakerRefusal, unreachable } from './rpc-errors.ts';
import { errorAnswer, isObject, type Serving } from './serving.ts';
import { HEAD_BYTES, type Wire, type WireListener } from './wire.ts';

export interface SessionParts {
  readonly clock: Clock;
  readonly place: string;
  readonly serving: Serving;
  /** A message without id: a notification of Moonraker, or a remote method. */
  readonly onNotification: (method: string, params: unknown) => void;
  /** Something odd that the connection survives. */
  readonly onTrouble: (text: string) => void;
}

/** Moonraker writes the id before the parameters (moonraker/common.py, call_method_with_response). */
const ID_IN_HEAD = /^\{"jsonrpc":\s*"2\.0",\s*"method":\s*"(?:[^"\\]|\\.)*",\s*"id":\s*(\d+)\s*[,}]/;

export class Session implements WireListener {
  readonly #parts: SessionParts;
  readonly #client: JSONRPCClient;
  /** Why it ended. */
  readonly ended: Promise<string>;
  #end: (reason: string) => void;
  #endReason: string | undefined;
  #wire: Wire | undefined;
  #lastId = 0;
  #heard = 0;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    const { promise, resolve } = Promise.withResolvers<string>();
    [this.ended, this.#end] = [promise, resolve];
    this.#client = new JSONRPCClient((payload: unknown) => this.#write(JSON.stringify(payload)));
  }

  attach(wire: Wire): void {
    this.#wire = wire;
    if (this.#endReason !== undefined) wire.close(this.#endReason);
  }

  /** How many messages have come; for the heartbeat. */
  get heard(): number {
    return this.#heard;
  }

  get isOpen(): boolean {
    return this.#endReason === undefined;
  }

  close(reason: string): void {
    this.#finish(reason);
    this.#wire?.close(reason);
  }

  /** Rejects with MoonrakerRefusal when Moonraker says no, `printer-unreachable` when it says nothing. */
  async request(method: string, params: object | undefined, timeoutMs: number): Promise<unknown> {
    if (this.#endReason !== undefined) throw this.#lost(method);
    const id = ++this.#lastId;
    let isLate = false;
    const callOff = later(this.#parts.clock, timeoutMs, () => {
      isLate = true;
      this.#client.receive(createJSONRPCErrorResponse(id, 0, 'late'));
    });
    try {
      const { result, error } = await this.#client.requestAdvanced(createJSONRPCRequest(id, method, params));
      if (!error) return result;
      if (isLate)
        throw unreachable(`Moonraker did not answer ${method} within ${timeoutMs} ms`, this.#parts.place);
      if (this.#endReason !== undefined) throw this.#lost(method);
      throw new MoonrakerRefusal(error.code, error.message);
    } finally {
      callOff();
    }
  }

  /** Without an answer, and without word of a failure. */
  notify(method: string, params: object): void {
    this.#client.notify(method, params);
  }

  message(text: string): void {
    this.#heard++;
    const parsed = parseJson(text);
    switch (parsed.kind) {
      case 'too-deep':
        this.#refuse(text.slice(0, HEAD_BYTES), `nested deeper than ${MAX_DEPTH} levels`);
        return;
      case 'no-json':
        this.#parts.onTrouble(`a message that is no JSON: ${text.slice(0, 80)}`);
        return;
      case 'value': {
        const { value } = parsed;
        for (const item of Array.isArray(value) ? (value as unknown[]) : [value]) this.#dispatch(item);
      }
    }
  }

  tooLong(head: string, sizeBytes: number): void {
    this.#heard++;
    this.#refuse(head, `too long (${sizeBytes} bytes)`);
  }

  closed(reason: string): void {
    this.#finish(reason);
  }

  #dispatch(item: unknown): void {
    if (!isObject(item)) this.#odd(item);
    else if (isJSONRPCResponse(item)) this.#receiveAnswer(item);
    else if (!isJSONRPCRequest(item) || typeof item.method !== 'string') this.#odd(item);
    else if (item.id === undefined || item.id === null) this.#parts.onNotification(item.method, item.params);
    else void this.#serve(item, item.id);
  }

  #receiveAnswer(answer: JSONRPCResponse): void {
    // With an id of null Moonraker complains of something that was no request to it.
    if (answer.id === null) this.#odd(answer);
    else this.#client.receive(answer);
  }

  async #serve(request: JSONRPCRequest, id: JSONRPCID): Promise<void> {
    this.#reply(await this.#parts.serving.answer(request, id));
  }

  /** Unread: its caller is answered where its first bytes say who that is. */
  #refuse(head: string, why: string): void {
    this.#parts.onTrouble(`a message was refused: ${why}`);
    const id = ID_IN_HEAD.exec(head)?.[1];
    if (id === undefined) return;
    const error = new OctopusError('bad-parameter', `the request is ${why}`, {
      place: 'arguments',
      advice: 'Name the image by a path or an id; its content never goes through a request.',
    });
    this.#reply(errorAnswer(Number(id), error));
  }

  /** One answer, also where the one that was meant cannot be sent. */
  #reply(response: JSONRPCResponse): void {
    try {
      this.#write(JSON.stringify(response));
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      this.#parts.onTrouble(`an answer could not be sent: ${text}`);
      this.#write(JSON.stringify(errorAnswer(response.id, cause)));
    }
  }

  #write(text: string): void {
    if (this.#endReason === undefined) this.#wire?.send(text);
  }

  #odd(item: unknown): void {
    this.#parts.onTrouble(`a message that is no JSON-RPC: ${JSON.stringify(item).slice(0, 200)}`);
  }

  #finish(reason: string): void {
    if (this.#endReason !== undefined) return;
    this.#endReason = reason;
    this.#client.rejectAllPendingRequests(reason);
    this.#end(reason);
  }

  #lost(method: string): OctopusError {
    return unreachable(
      `the connection to Moonraker was lost at ${method}: ${this.#endReason}`,
      this.#parts.place,
    );
  }
}
