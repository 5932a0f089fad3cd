import type { Socket } from 'socket.io-client';
import { io } from 'socket.io-client';
import { wireError } from '../protocol/errors.ts';
import { ConnectRefused, SluiceError } from './errors.ts';
import type { Channel, ConnectOptions } from './types.ts';

/**
 * The one place that knows Socket.IO: WebSocket only, one connection for each namespace, no reconnection of its own
 * (sdk/link.ts reconnects), no buffering of what was sent while disconnected (the outbox keeps that).
 */
export function connectSocket(options: ConnectOptions): Promise<Channel> {
  const socket = io(new URL(options.namespace, options.url.replace(/^ws/, 'http')).href, {
    transports: ['websocket'],
    reconnection: false,
    forceNew: true,
    auth: options.token === '' ? {} : { token: options.token },
    timeout: options.timeoutMs,
  });
  socket.onAny((event: string, body: unknown) => options.onMessage(event, body));
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.disconnect();
      reject(error);
    };
    const timer = setTimeout(
      () => fail(new SluiceError('timeout', 'the gateway did not answer in time')),
      options.timeoutMs,
    );
    socket.once('connect_error', (error) => fail(toRefusal(error)));
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.once('disconnect', options.onClose);
      resolve(channelOf(socket));
    });
  });
}

function channelOf(socket: Socket): Channel {
  return {
    async request(event, body, timeoutMs) {
      if (!socket.connected) throw new SluiceError('disconnected', `not connected: ${event} was not sent`);
      try {
        return (await socket.timeout(timeoutMs).emitWithAck(event, body)) as unknown;
      } catch (error) {
        const gone = !isConnected(socket);
        const message = gone ? 'the connection ended before' : `no answer within ${timeoutMs} ms:`;
        throw new SluiceError(gone ? 'disconnected' : 'timeout', `${message} ${event}`, { cause: error });
      }
    },
    send(event, body) {
      if (socket.connected) socket.emit(event, body);
    },
    close() {
      socket.off('disconnect');
      socket.offAny();
      socket.disconnect();
    },
  };
}

const refusalData = wireError.partial().required({ code: true });

/** Read afresh: the compiler believes that it cannot change during an await. */
function isConnected(socket: Socket): boolean {
  return socket.connected;
}

/** `connect_error`: with `data.code` the gateway refused; without, it could not be reached. */
function toRefusal(error: Error & { data?: unknown }): Error {
  const parsed = refusalData.safeParse(error.data);
  if (!parsed.success)
    return new SluiceError('disconnected', `the gateway cannot be reached: ${error.message}`, {
      cause: error,
    });
  const { code, retry, retryAfterMs } = parsed.data;
  return new ConnectRefused(code, error.message, { advice: retry, retryAfterMs });
}
