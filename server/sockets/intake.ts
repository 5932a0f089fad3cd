import type { IncomingMessage } from 'node:http';
import type { Server } from 'socket.io';
import { AppError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { networkOf } from '../auth/addresses.ts';
import { clientAddress, createPace } from './guards.ts';

/** What comes in over a connection is bounded here, before a parser sees it: nobody has said yet who they are. */

/** The largest message of a connection on which a handshake with `/sync` has succeeded. */
export const MESSAGE_BYTES = 2.5 * LIMITS.batchBytes;
/** The largest message of any other: a token, or a chat message with every character escaped. */
export const STRANGER_BYTES = 32 * 1024;
/** Connections one address may hold. Generous, as a whole office comes from one; this machine itself has no bound. */
export const CONNECTIONS_PER_ADDRESS = 5_000;

/** Levels that reach the parser at all; what has more than LIMITS.depth of them is then refused with an answer. */
const PARSED_DEPTH = 1_024;
const ATTACHMENT_BYTES = 128 * 1024;
const BYTES_PER_SECOND = 32 * LIMITS.batchBytes;
/** No packet type of Socket.IO: its parser refuses it, and the connection is closed as for any packet that is none. */
const REFUSED = '9';

/** What Socket.IO reads of a connection's first request for the handshake of each namespace. */
interface FirstRequest {
  headers: IncomingMessage['headers'];
  url?: string | undefined;
  _query?: unknown;
  connection: { encrypted?: boolean };
}

interface EngineConnection {
  remoteAddress: string | undefined;
  request: FirstRequest;
  transport: Transport;
  on(event: 'packet', listener: (packet: { type: string; data?: unknown }) => void): unknown;
  on(event: 'upgrade', listener: (transport: Transport) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
  emit(event: 'error', error: Error): unknown;
  close(discard?: boolean): void;
}

interface Transport {
  maxHttpBufferSize?: number;
  socket?: { _receiver?: { _maxPayload: number } };
}

const known = new WeakSet<object>();

/** Watches every connection: the size and nesting of its messages, its bytes a second, and how many its address holds. */
export function guardIntake(io: Server, options: { trustProxy: boolean }): void {
  const addresses = createAddressBook(CONNECTIONS_PER_ADDRESS);
  // checked by the length a frame announces, so that nothing of a larger one is kept
  const { ws } = io.engine as unknown as { ws?: { options?: { maxPayload?: number } } };
  if (ws?.options) ws.options.maxPayload = STRANGER_BYTES;
  io.engine.on('connection', (connection: EngineConnection) => {
    const { headers } = connection.request;
    const address = clientAddress({ address: connection.remoteAddress ?? '', headers }, options.trustProxy);
    if (!addresses.enter(address)) {
      connection.close(true);
      return;
    }
    connection.on('close', () => addresses.leave(address));
    connection.on('upgrade', (transport) => setLimit(transport, limitOf(connection)));
    setLimit(connection.transport, STRANGER_BYTES);
    connection.request = shed(connection.request);
    watchPackets(connection);
  });
}

/** Socket.IO holds the request, with its streams and raw headers, as long as the connection lasts: most of it is of no more use. */
function shed({ headers, url, _query, connection: { encrypted = false } }: FirstRequest): FirstRequest {
  return { headers, url, _query, connection: { encrypted } };
}

/** The connection's owner is known: it may send batches from now on. */
export function admitLargeMessages(connection: object): void {
  known.add(connection);
  setLimit((connection as EngineConnection).transport, MESSAGE_BYTES);
}

/** Counts the connections of an address (of an IPv6 network); `enter` says whether there is room for one more. */
export function createAddressBook(limit: number): {
  enter(address: string): boolean;
  leave(address: string): void;
} {
  const counts = new Map<string, number>();
  return {
    enter(address) {
      if (/^(127\.|::1$)/.test(address)) return true;
      const network = networkOf(address);
      const count = counts.get(network) ?? 0;
      if (count >= limit) return false;
      counts.set(network, count + 1);
      return true;
    },
    leave(address) {
      const network = networkOf(address);
      const count = counts.get(network) ?? 0;
      if (count <= 1) counts.delete(network);
      else counts.set(network, count - 1);
    },
  };
}

/** Says whether a text nests deeper than `limit`, without parsing it: one pass, which skips what is quoted. */
export function isDeeperThan(text: string, limit: number): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === 0x22) i = endOfString(text, i);
    else if (code === 0x5b || code === 0x7b) {
      depth += 1;
      if (depth > limit) return true;
    } else if (code === 0x5d || code === 0x7d) depth -= 1;
  }
  return false;
}

function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes += 1;
    if (slashes % 2 === 0) return end;
    end = text.indexOf('"', end + 1);
  }
  return text.length;
}

function watchPackets(connection: EngineConnection): void {
  const bytes = createPace({ perSecond: BYTES_PER_SECOND, burst: 2 * BYTES_PER_SECOND });
  connection.on('packet', (packet) => {
    if (packet.type !== 'message') return;
    if (!bytes.take(sizeOf(packet.data))) {
      packet.data = REFUSED;
      connection.emit('error', new AppError('rate_limited', { retryAfterMs: 1_000 }));
    } else if (!isAcceptable(connection, packet.data)) packet.data = REFUSED;
  });
}

function isAcceptable(connection: EngineConnection, data: unknown): boolean {
  const limit = limitOf(connection);
  if (typeof data !== 'string') return known.has(connection) && sizeOf(data) <= ATTACHMENT_BYTES;
  return data.length <= limit && !isDeeperThan(data, PARSED_DEPTH);
}

function limitOf(connection: object): number {
  return known.has(connection) ? MESSAGE_BYTES : STRANGER_BYTES;
}

function sizeOf(data: unknown): number {
  if (typeof data === 'string') return data.length;
  return ArrayBuffer.isView(data) || data instanceof ArrayBuffer ? data.byteLength : 0;
}

function setLimit(transport: Transport, bytes: number): void {
  if (transport.maxHttpBufferSize !== undefined) transport.maxHttpBufferSize = bytes;
  const receiver = transport.socket?._receiver;
  if (receiver) receiver._maxPayload = bytes;
}
