import { AppError, toWireError } from '../../protocol/errors.ts';
import type { Refusal } from '../../protocol/sync.ts';
import { toAppError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Door } from './door.ts';

type Ack<T> = (answer: T | Refusal) => void;

/** Whom an answer goes to, and what keeps count of it. */
export interface Asked {
  log: Logger;
  metrics: Metrics;
  principal: string | undefined;
  /** Left out: it is never shut. */
  door?: Pick<Door, 'enter'> | undefined;
}

/**
 * Runs a handler and acknowledges what it returns or throws; says whether it returned. A client that asks for no
 * acknowledgement gets none.
 */
export async function answerWith<T>(
  asked: Asked,
  ack: Ack<T> | undefined,
  work: () => Promise<T>,
): Promise<boolean> {
  let leave: (() => void) | undefined;
  try {
    leave = asked.door?.enter();
    const answer = await work();
    ack?.(answer);
    return true;
  } catch (error) {
    const refusal = toAppError(error);
    if (refusal.code === 'internal')
      asked.log.error({ err: refusal.cause ?? refusal, principal: asked.principal }, 'event failed');
    asked.metrics.refusals.inc({ code: refusal.code });
    ack?.({ ok: false, error: toWireError(refusal) });
    return false;
  } finally {
    leave?.();
  }
}

/** What came with an event. Socket.IO puts the acknowledgement last, also where the body is missing. */
export function readArguments<T>(args: readonly unknown[]): { bodies: unknown[]; ack: Ack<T> | undefined } {
  const last = args.at(-1);
  if (typeof last !== 'function') return { bodies: [...args], ack: undefined };
  return { bodies: args.slice(0, -1), ack: last as Ack<T> };
}

/** The one body of an event, which its schema then judges. Throws AppError `invalid_message` for several. */
export function requireOne(bodies: readonly unknown[]): unknown {
  if (bodies.length <= 1) return bodies[0];
  throw new AppError('invalid_message', { message: 'An event has one body, and then the acknowledgement.' });
}

interface AnySocket {
  onAny(listener: (event: unknown, ...args: unknown[]) => void): unknown;
}

/** Refuses events that a namespace does not have, when they ask for an answer. */
export function refuseOthers(socket: AnySocket, known: ReadonlySet<string>): void {
  // the parser lets numbers through as names
  socket.onAny((event, ...args) => {
    const name = String(event);
    if (known.has(name)) return;
    readArguments(args).ack?.({ ok: false, error: toWireError(noSuchEvent(name)) });
  });
}

export function noSuchEvent(name: string): AppError {
  return new AppError('invalid_message', { message: `There is no event ${name.slice(0, 60)}.` });
}
