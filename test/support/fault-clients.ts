import { randomUUID } from 'node:crypto';
import { io } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import type { Delta, HelloAck, PushAck, Snapshot } from '../../protocol/sync.ts';
import type { HistoryEntry } from './fault-history.ts';
import { pause } from './fault-seed.ts';
import { tokenFor } from './sync-gateway.ts';

/** Clients that keep going through anything, and their known-bad variants. Written from the contract alone. */

export interface FaultSubscriber {
  applied: string[];
  cursor: string | null;
  resets: number;
  reconnects: number;
  readonly connected: boolean;
  close(): void;
}

/**
 * Follows the whole tenant, reconnecting from its cursor. `liveOnly` is the known-bad variant: it takes what comes while
 * it is connected and trusts that nothing happened meanwhile.
 */
export function startSubscriber(
  url: () => string,
  options: { liveOnly?: boolean; awayMs?: number; from?: Pick<FaultSubscriber, 'cursor' | 'applied'> } = {},
): FaultSubscriber {
  const token = tokenFor();
  const clientId = randomUUID();
  const { cursor = null, applied = [] } = options.from ?? {};
  const state = { applied: [...applied], cursor, resets: 0, reconnects: 0 };
  let socket: Socket | undefined;
  let closed = false;
  const follow = (): void => {
    const current = open(url(), token);
    socket = current;
    const again = once(() => {
      current.close();
      state.reconnects += 1;
      if (!closed) setTimeout(follow, options.awayMs ?? 30);
    });
    current.on('connect', () => {
      const cursor = options.liveOnly === true ? null : state.cursor;
      const body = { protocol: 1, clientId, incarnation: '1', cursor, subscribe: [{ collection: 'stoku' }] };
      current.timeout(3_000).emit('sync:hello', body, (error: Error | null, ack: HelloAck) => {
        if (error ?? !ack.ok) {
          again();
          return;
        }
        if (ack.mode === 'reset') state.resets += 1;
      });
    });
    current.on('sync:snapshot', (frame: Snapshot) => {
      if (!frame.more) state.cursor = frame.at;
      current.emit('sync:ack', { page: frame.page });
    });
    current.on('sync:delta', (frame: Delta) => {
      if (frame.from !== state.cursor) {
        again();
        return;
      }
      state.applied.push(...frame.changes.map(({ version, index }) => `${version}.${index}`));
      state.cursor = frame.to;
      current.emit('sync:ack', { to: frame.to });
    });
    current.on('disconnect', again);
    current.on('connect_error', again);
  };
  follow();
  Object.defineProperty(state, 'connected', { get: () => socket?.connected === true });
  const close = (): void => {
    closed = true;
    socket?.close();
  };
  return Object.assign(state as typeof state & { readonly connected: boolean }, { close });
}

export interface WriterOptions {
  name: string;
  count: number;
  /** Batches between the acknowledgements of which nothing is waited for; left out: 0. */
  pauseMs?: number;
  /** Known bad: after an unknown outcome the same business act is sent as a new batch. */
  newBatchOnRetry?: boolean;
  /** Known bad: it calls written what it has sent. */
  trustsSending?: boolean;
  /** Chance in [0, 1) that it does not send again what has an unknown outcome. */
  givesUp?: () => boolean;
}

/** Pushes `count` batches one after the other through anything. Each adds one to its counter and names itself. */
export async function runWriter(url: () => string, options: WriterOptions): Promise<HistoryEntry[]> {
  const token = tokenFor();
  const clientId = randomUUID();
  const history: HistoryEntry[] = [];
  let link: { socket: Socket; lastSeq: number } | undefined;
  const connected = async (): Promise<{ socket: Socket; lastSeq: number }> => {
    while (link?.socket.connected !== true) {
      link?.socket.close();
      link = await greet(url(), token, clientId);
      if (!link) await pause(30);
    }
    return link;
  };
  let seq = 1;
  await write({ op: '', quantity: 0 });
  for (let i = 0; i < options.count; i += 1) {
    history.push(await write({ op: `${options.name}-${i}`, quantity: 1 }));
    await pause(options.pauseMs ?? 0);
  }
  link?.socket.close();
  return history;

  /** Says hello anew, to learn which seq comes next. */
  async function resume(): Promise<void> {
    link?.socket.close();
    link = undefined;
    seq = (await connected()).lastSeq + 1;
  }

  // eslint-disable-next-line complexity -- one loop, with every known-bad variant in view
  async function write({ op, quantity }: { op: string; quantity: number }): Promise<HistoryEntry> {
    const id = `counter-${options.name}`;
    const mutation =
      op === ''
        ? { collection: 'stoku', id, op: 'put', partition: 'b1', data: { sku: id, quantity } }
        : { collection: 'stoku', id, op: 'patch', increment: { quantity }, set: { last: op } };
    let batchId = randomUUID();
    let uncertain = false;
    for (;;) {
      const { socket, lastSeq } = await connected();
      if (uncertain && options.givesUp?.() === true && op !== '') {
        await resume();
        return { op, outcome: 'unknown' };
      }
      if (uncertain && options.newBatchOnRetry === true) [batchId, seq] = [randomUUID(), lastSeq + 1];
      const ack = await send(socket, { seq, batchId, mutations: [mutation] });
      if (options.trustsSending === true && op !== '') {
        await resume();
        return { op, outcome: 'ok', version: ack?.ok === true ? ack.version : -1 };
      }
      if (ack?.ok === true) {
        seq += 1;
        return { op, outcome: ack.version === null ? 'refused' : 'ok', version: ack.version };
      }
      uncertain ||= ack === undefined || ack.error.code === 'unavailable' || ack.error.code === 'internal';
      if (ack === undefined) socket.close();
      else if (ack.error.retry === 'never') {
        await resume();
        return { op, outcome: 'refused' };
      } else await pause(50);
    }
  }
}

async function send(socket: Socket, body: object): Promise<PushAck | undefined> {
  return await new Promise((resolve) => {
    socket.once('disconnect', () => resolve(undefined));
    socket.timeout(5_000).emit('sync:push', body, (error: Error | null, ack: PushAck) => {
      socket.off('disconnect');
      resolve(error ? undefined : ack);
    });
  });
}

async function greet(
  url: string,
  token: string,
  clientId: string,
): Promise<{ socket: Socket; lastSeq: number } | undefined> {
  const socket = open(url, token);
  return await new Promise((resolve) => {
    const fail = once(() => {
      socket.close();
      resolve(undefined);
    });
    socket.on('connect_error', fail);
    socket.on('disconnect', fail);
    socket.on('connect', () => {
      const body = { protocol: 1, clientId, incarnation: '1', cursor: null, subscribe: [] };
      socket.timeout(3_000).emit('sync:hello', body, (error: Error | null, ack: HelloAck) => {
        if (error ?? !ack.ok) {
          fail();
          return;
        }
        socket.off('disconnect', fail);
        resolve({ socket, lastSeq: ack.lastSeq });
      });
    });
  });
}

function open(url: string, token: string): Socket {
  return io(`${url}/sync`, {
    transports: ['websocket'],
    reconnection: false,
    forceNew: true,
    timeout: 2_000,
    auth: { token },
  });
}

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    run();
  };
}
