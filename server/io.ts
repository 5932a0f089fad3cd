import type { Server as HttpServer } from 'node:http';
import type { Socket } from 'node:net';
import { Server } from 'socket.io';
import { MESSAGE_BYTES } from './sockets/intake.ts';

/** Where a connection came in, as the system says. */
export type Arrival = Pick<Socket, 'localAddress' | 'localPort'>;

/** Which origins a browser may connect from; a client that sends none is no browser. */
export type OriginCheck = (origin: string | undefined, arrival?: Arrival) => boolean;

/**
 * Socket.IO as a transport only (DESIGN 5.7): WebSocket, no compression, no connection-state recovery, a short time to
 * join a namespace, bounded messages, and the origin checked before anything else (WebSockets know no CORS).
 */
export function createIo(http: HttpServer, allowOrigin: OriginCheck): Server {
  return new Server(http, {
    transports: ['websocket', 'polling'],
    perMessageDeflate: false,
    httpCompression: false,
    serveClient: false,
    connectTimeout: 5_000,
    pingInterval: 20_000,
    pingTimeout: 20_000,
    // room for a batch at its limit, its escapes and its envelope; what is over it is refused by its own code
    maxHttpBufferSize: MESSAGE_BYTES,
    cors: { origin: (origin, done) => done(null, allowOrigin(origin)), credentials: true },
    allowRequest: (request, done) => {
      const allowed = allowOrigin(request.headers.origin, request.socket);
      done(allowed ? null : 'origin_refused', allowed);
    },
  });
}
