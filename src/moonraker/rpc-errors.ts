// Moonraker, errors on the wire: ours as callers of the agent get them, Moonraker's as we get them.
import { type JSONRPCError, JSONRPCErrorCode } from 'json-rpc-2.0';
import { OctopusError, asOctopusError, type Outcome } from '../errors.ts';

/** JSON-RPC 2.0 leaves -32000 to -32099 to the server; a wrong call has the code that the standard gives it. */
const CODE_OF: Readonly<Record<Outcome, number>> = {
  usage: JSONRPCErrorCode.InvalidParams,
  failed: -32000,
  refused: -32001,
  busy: -32002,
};

/**
 * What a caller gets for `thrown`. Moonraker wraps it as `data` of its own 424 error and some front ends show only
 * texts, so the message alone says what happened and what to do.
 */
export function errorForCaller(thrown: unknown): JSONRPCError {
  const error = asOctopusError(thrown);
  const { code, advice, place, onBoard } = error.toJSON();
  return {
    code: error.code === 'internal' ? JSONRPCErrorCode.InternalError : CODE_OF[error.outcome],
    message: [sentence(error.message), sentence(onBoard), sentence(advice), `[${code}]`]
      .filter((part) => part !== '')
      .join(' '),
    data: { code, message: error.message, advice, place, onBoard },
  };
}

function sentence(text: string | undefined): string {
  const trimmed = text?.trim() ?? '';
  return trimmed === '' || /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

/** JSON-RPC 2.0, section 5.1. */
const METHOD_NOT_FOUND: number = JSONRPCErrorCode.MethodNotFound;

/** An error answer of Moonraker: it heard us and said no. */
export class MoonrakerRefusal extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'MoonrakerRefusal';
    this.code = code;
  }

  /**
   * Klipper is not there: 503 when it left, "Method not found" when it has not come since Moonraker started, since
   * `printer.*` is registered by its first connection (moonraker/components/klippy_connection.py).
   */
  get isKlipperDown(): boolean {
    return this.code === 503 || this.code === METHOD_NOT_FOUND;
  }
}

export function unreachable(message: string, place: string, cause?: unknown): OctopusError {
  return new OctopusError('printer-unreachable', message, {
    place,
    advice: 'Check that Moonraker runs (systemctl status moonraker) and that its address is right.',
    cause,
  });
}
