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
const BYTES_PER_SECOND = 32 * LIMITS.batchBytes;
/** Packets of any kind, those of the engine and pings too: twice the events that a connection may send. */
const PACKETS_PACE = { perSecond: 4_000, burst: 8_000 };
/** Handshakes: two namespaces, and some that come again with a new token. */
const HANDSHAKES_PACE = { perSecond: 0.1, burst: 10 };
/** What a text of Socket.IO begins with: its type. */
const CONNECT = '0';
const BINARY = new Set(['5', '6']);
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
  readyState: string;
  on(event: 'packet', listener: (packet: { type: string; data?: unknown }) => void): unknown;
  on(event: 'upgrade', listener: (transport: Transport) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
  emit(event: 'error', error: Error): unknown;
  close(discard?: boolean): void;
}

interface Transport {
  maxHttpBufferSize?: number;
  socket?: { _receiver?: { _maxPayload: number }; on?(event: 'ping', listener: () => void): unknown };
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
    const packets = createPace(PACKETS_PACE);
    const count = (): boolean => {
      const isWithin = packets.take();
      if (!isWithin) refuseMore(connection);
      return isWithin;
    };
    const guard = (transport: Transport): void => {
      setLimit(transport, limitOf(connection));
      transport.socket?.on?.('ping', count);
    };
    connection.on('upgrade', guard);
    guard(connection.transport);
    connection.request = shed(connection.request);
    watchPackets(connection, count);
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

function watchPackets(connection: EngineConnection, count: () => boolean): void {
  const bytes = createPace({ perSecond: BYTES_PER_SECOND, burst: 2 * BYTES_PER_SECOND });
  const handshakes = createPace(HANDSHAKES_PACE);
  const isWithin = (data: string): boolean =>
    bytes.take(data.length) && (!data.startsWith(CONNECT) || handshakes.take());
  connection.on('packet', (packet) => {
    const { type, data } = packet;
    if (!count()) packet.data = REFUSED;
    else if (type !== 'message') return;
    else if (!isText(data)) packet.data = REFUSED;
    else if (!isWithin(data)) {
      packet.data = REFUSED;
      refuseMore(connection);
    } else if (data.length > limitOf(connection) || isDeeperThan(data, PARSED_DEPTH)) packet.data = REFUSED;
  });
}

/** Closes it: what is open on it is told why. */
function refuseMore(connection: EngineConnection): void {
  // once it closes nobody listens for errors any more
  if (connection.readyState !== 'open') return;
  connection.emit('error', new AppError('rate_limited', { retryAfterMs: 1_000 }));
}

/** The wire has no binary: an attachment that never came would be waited for. */
function isText(data: unknown): data is string {
  return typeof data === 'string' && !BINARY.has(data.charAt(0));
}

function limitOf(connection: object): number {
  return known.has(connection) ? MESSAGE_BYTES : STRANGER_BYTES;
}

function setLimit(transport: Transport, bytes: number): void {
  if (transport.maxHttpBufferSize !== undefined) transport.maxHttpBufferSize = bytes;
  const receiver = transport.socket?._receiver;
  if (receiver) receiver._maxPayload = bytes;
}
