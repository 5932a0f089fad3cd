import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';

/** How long a connection may take to say what it wants, and a request to arrive whole. */
interface Patience {
  silentMs: number;
  requestMs: number;
}

/** The slowest line of a branch sends its headers in a moment, and the largest body in less than a minute. */
const PATIENCE: Patience = { silentMs: 10_000, requestMs: 60_000 };

/**
 * The HTTP server. Node waits a minute for headers, looks every half a minute, and gives a request five: connections that say
 * nothing would hold their descriptors for all that time. WebSockets and requests that wait for an answer are not meant.
 */
export function createListener(serve: RequestListener, { silentMs, requestMs } = PATIENCE): Server {
  const timeouts = { headersTimeout: silentMs, requestTimeout: requestMs };
  return createServer({ ...timeouts, connectionsCheckingInterval: silentMs / 4 }, serve);
}
