import type { Server as HttpServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Server as IoServer } from 'socket.io';
import type { Door } from './door.ts';
import type { Sync } from '../sync/sync.ts';

/** How long each step of the drain may take. */
const VERDICTS_MS = 10_000;
const PARTINGS_MS = 4_000;
const FLUSH_MS = 2_000;
const REQUESTS_MS = 3_000;

/** Sockets are closed in slices of at least so many, one slice each so often: their clients do not all return at once. */
const SLICE_MS = 50;
const SLICE_SOCKETS = 10;
const LOOK_MS = 10;

/** A namespace while it is served. */
export interface Served {
  /** For each connection it has: how to send it away, and with it all that goes over it. */
  partings(): Map<EngineConnection, () => void>;
}

interface EngineConnection {
  /** `closed` when what it was told has been written. */
  readonly readyState: string;
}

export interface Drained {
  http: HttpServer;
  /** Left out: no sockets are served. */
  io?: IoServer | undefined;
  sync: Pick<Sync, 'idle'>;
  door: Door;
  /** A connection that several of them have hears of the last one. */
  namespaces: readonly Served[];
  /** For tests: how long verdicts are waited for. */
  verdictsMs?: number | undefined;
}

/**
 * No new connection and no new event from now on; what was let in gets its verdict; then the sockets are sent away, slice
 * by slice, and their clients come back to another node. A step that takes too long is not waited for.
 */
export async function drain({ http, io, sync, door, namespaces, ...more }: Drained): Promise<void> {
  const closed = new Promise<void>((resolve) => void http.close(() => resolve()));
  const settled = door.shut().then(() => sync.idle());
  await within(more.verdictsMs ?? VERDICTS_MS, settled);
  // a page has both namespaces on one connection
  const partings = new Map(namespaces.flatMap((served) => [...served.partings()]));
  await partInSlices([...partings.values()]);
  await flushed([...partings.keys()]);
  // a connection that is kept alive counts until it is idle
  const sweep = setInterval(() => http.closeIdleConnections(), SLICE_MS);
  await within(REQUESTS_MS, io?.close() ?? closed);
  clearInterval(sweep);
  http.closeAllConnections();
}

async function partInSlices(partings: readonly (() => void)[]): Promise<void> {
  const slice = Math.max(SLICE_SOCKETS, Math.ceil((partings.length * SLICE_MS) / PARTINGS_MS));
  for (let next = 0; next < partings.length; next += slice) {
    if (next > 0) await sleep(SLICE_MS);
    for (const part of partings.slice(next, next + slice)) part();
  }
}

/** What was said last is still being written: closing the server now would throw it away. */
async function flushed(parted: readonly EngineConnection[]): Promise<void> {
  const isOpen = ({ readyState }: EngineConnection): boolean => readyState !== 'closed';
  for (let waited = 0; parted.some(isOpen) && waited < FLUSH_MS; waited += LOOK_MS) await sleep(LOOK_MS);
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const timeout = new AbortController();
  const late = sleep(ms, undefined, { signal: timeout.signal }).catch(() => undefined);
  await Promise.race([work, late]);
  timeout.abort();
}
