import { AppError, toWireError } from '../../protocol/errors.ts';
import type { Refusal } from '../../protocol/sync.ts';
import { toAppError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';

/**
 * Runs a handler and acknowledges what it returns or throws; says whether it returned. A client that asks for no
 * acknowledgement gets none.
 */
export async function answerWith<T>(
  deps: { log: Logger; metrics: Metrics; principal: string },
  ack: unknown,
  work: () => Promise<T>,
): Promise<boolean> {
  const reply = typeof ack === 'function' ? (ack as (answer: T | Refusal) => void) : () => undefined;
  try {
    reply(await work());
    return true;
  } catch (error) {
    const refusal = toAppError(error);
    if (refusal.code === 'internal')
      deps.log.error({ err: refusal.cause, principal: deps.principal }, 'event failed');
    deps.metrics.refusals.inc({ code: refusal.code });
    reply({ ok: false, error: toWireError(refusal) });
    return false;
  }
}

const EVENTS = new Set([
  'sync:hello',
  'sync:push',
  'sync:subscribe',
  'sync:unsubscribe',
  'sync:ack',
  'auth:refresh',
]);

interface AnySocket {
  onAny(listener: (event: unknown, ...args: unknown[]) => void): unknown;
}

/** Refuses events that `/sync` does not have, when they ask for an answer. */
export function refuseOthers(socket: AnySocket): void {
  // the parser lets numbers through as names
  socket.onAny((event, ...args) => {
    const ack: unknown = args.at(-1);
    const name = String(event);
    if (!EVENTS.has(name) && typeof ack === 'function') {
      const error = new AppError('invalid_message', { message: `There is no event ${name.slice(0, 60)}.` });
      (ack as (refusal: Refusal) => void)({ ok: false, error: toWireError(error) });
    }
  });
}
