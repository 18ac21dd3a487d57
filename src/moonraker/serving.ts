// Moonraker, the server half: a table of methods, each request answered exactly once and never with null.
import {
  JSONRPCErrorCode,
  JSONRPCServer,
  createJSONRPCSuccessResponse,
  type JSONRPCErrorResponse,
  type JSONRPCID,
  type JSONRPCRequest,
  type JSONRPCResponse,
} from 'json-rpc-2.0';
import { OctopusError, nearest } from '../errors.ts';
import { errorForCaller } from './rpc-errors.ts';

/** `request` waits for an answer; `macro` is a remote method called by Klipper, which nobody hears the answer of. */
export type Via = 'request' | 'macro';
export type Params = Readonly<Record<string, unknown>>;
/** Rejects with OctopusError; anything else is told as a fault of ours. */
export type Handler = (params: Params, via: Via) => Promise<object>;
export type MethodTable = ReadonlyMap<string, Handler>;

export class Serving {
  readonly #methods: MethodTable;
  readonly #server: JSONRPCServer;

  constructor(methods: MethodTable) {
    this.#methods = methods;
    // Without a listener of its own the library writes every rejected call to the console.
    this.#server = new JSONRPCServer({ errorListener: () => {} });
    this.#server.mapErrorToJSONRPCErrorResponse = errorAnswer;
    this.#server.handleMethodNotFound = async (request) =>
      errorAnswer(
        request.id ?? null,
        unknownMethod(request.method, methods),
        JSONRPCErrorCode.MethodNotFound,
      );
    for (const name of methods.keys()) {
      this.#server.addMethodAdvanced(name, async ({ id, params }) =>
        createJSONRPCSuccessResponse(id ?? null, await this.call(name, params, 'request')),
      );
    }
  }

  /** Never rejects. */
  async answer(request: JSONRPCRequest, id: JSONRPCID): Promise<JSONRPCResponse> {
    try {
      const response = await this.#server.receive(request);
      if (response !== null) return response;
      throw new TypeError(`${request.method} was not answered`);
    } catch (thrown) {
      return errorAnswer(id, thrown);
    }
  }

  /** Throws `unknown-method`, `bad-parameter`, and what the method throws. */
  async call(method: string, params: unknown, via: Via): Promise<object> {
    const handler = this.#methods.get(method);
    if (handler === undefined) throw unknownMethod(method, this.#methods);
    const result: unknown = await handler(named(method, params), via);
    // Moonraker makes an error without a text of an answer that is null (moonraker/common.py, process_response).
    if (typeof result === 'object' && result !== null) return result;
    throw new TypeError(`${method} answered ${String(result)}, not an object`);
  }
}

export function errorAnswer(id: JSONRPCID, thrown: unknown, code?: number): JSONRPCErrorResponse {
  const error = errorForCaller(thrown);
  return { jsonrpc: '2.0', id, error: code === undefined ? error : { ...error, code } };
}

/** Moonraker leaves `params` out when there are none, and passes an object or a list on as it is. */
function named(method: string, params: unknown): Params {
  if (params === undefined || params === null) return {};
  if (isObject(params)) return params;
  throw new OctopusError('bad-parameter', `${method} takes its parameters by name, not as a list`, {
    place: 'arguments',
    advice: 'Give "arguments" as an object: {"board": "NAME"}.',
  });
}

export function isObject(value: unknown): value is Params {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unknownMethod(method: string, methods: MethodTable): OctopusError {
  const names = [...methods.keys()];
  const name = method.slice(0, 100);
  const meant = nearest(name, names);
  const all = `There are: ${names.join(', ')}.`;
  return new OctopusError('unknown-method', `there is no method "${name}"`, {
    place: 'method',
    advice: meant === undefined ? all : `Did you mean ${meant}? ${all}`,
  });
}
