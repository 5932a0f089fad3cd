import { toWireError } from '../../protocol/errors.ts';
import type { AppError } from '../../protocol/errors.ts';

/** Why a connection is closed, as the namespace's own event says it. */
export interface Closing {
  code: string;
  message: string;
  retryAfterMs?: number;
}

interface Closable {
  socket: {
    emit(event: 'auth:revoked', body: { code: string }): unknown;
    disconnect(close: true): unknown;
  };
  /** Says why, where it is not that somebody is out. */
  sayClosing(closing: Closing): void;
  /** Empty while it is open. */
  closeReason: string;
}

/** Tells the client why, and cuts it off: it leaves its rooms in the same turn, so nothing more reaches it. */
export function closeWith(connection: Closable, error: AppError): void {
  if (connection.closeReason !== '') return;
  const { code, message, retryAfterMs } = toWireError(error);
  connection.closeReason = code;
  if (code === 'revoked' || code === 'token_expired') connection.socket.emit('auth:revoked', { code });
  else connection.sayClosing({ code, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
  connection.socket.disconnect(true);
}
