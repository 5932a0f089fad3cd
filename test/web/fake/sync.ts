import type { Namespace, Socket } from 'socket.io';
import type { Change, Mutation, SnapshotRecord } from '../../../protocol/sync.ts';
import type { People } from './people.ts';

const PAGE = 500;
const EPOCH = 'fake';

/** One log, one set of records, no checks. */
export function createSync(namespace: Namespace, people: People) {
  const records = new Map<string, SnapshotRecord>();
  const log: Change[][] = [];
  const cursorAt = (version: number): string => `${EPOCH}.${version}`;

  function commit(partition: string, mutations: readonly Mutation[]): void {
    const version = log.length + 1;
    const at = new Date().toISOString();
    const changes = mutations.map((mutation, index): Change => {
      const { collection, id, op } = mutation;
      const key = `${collection}/${id}`;
      const where = mutation.partition ?? partition;
      const data = {
        ...(op === 'patch' ? records.get(key)?.data : undefined),
        ...mutation.data,
        ...mutation.set,
      };
      const base = { version, index, collection, id, partition: where, recordVersion: version, at };
      const by = { principal: `client:${partition}` };
      if (op === 'delete') {
        records.delete(key);
        return { ...base, op, by };
      }
      records.set(key, { collection, id, partition: where, data, recordVersion: version });
      return { ...base, op: 'put', data, by };
    });
    log.push(changes);
    namespace
      .to('live')
      .emit('sync:delta', { from: cursorAt(version - 1), to: cursorAt(version), more: false, changes });
  }

  function sendSnapshot(socket: Socket, granted: boolean): void {
    const all = granted ? [...records.values()] : [];
    const at = granted ? cursorAt(log.length) : 'nothing';
    for (let start = 0; start === 0 || start < all.length; start += PAGE)
      socket.emit('sync:snapshot', {
        page: `p${start}`,
        at,
        more: start + PAGE < all.length,
        records: all.slice(start, start + PAGE),
      });
  }

  function welcome(socket: Socket, cursor: unknown, granted: boolean): unknown {
    const from =
      typeof cursor === 'string' && cursor.startsWith(`${EPOCH}.`) ? Number(cursor.split('.')[1]) : -1;
    const resumes = granted && from >= 0 && from <= log.length;
    setImmediate(() => {
      if (!resumes) sendSnapshot(socket, granted);
      else if (from < log.length)
        socket.emit('sync:delta', {
          from: cursorAt(from),
          to: cursorAt(log.length),
          more: false,
          changes: log.slice(from).flat(),
        });
      if (granted) void socket.join('live');
    });
    const mode = resumes ? 'resume' : 'snapshot';
    return {
      ok: true,
      epoch: EPOCH,
      head: log.length,
      lastSeq: 0,
      mode,
      credits: 64,
      serverTime: new Date().toISOString(),
    };
  }

  namespace.on('connection', (socket: Socket) => {
    const session = people.sessionOf(String(socket.handshake.auth['token']));
    const person = session?.person;
    if (!session || !person) {
      socket.disconnect(true);
      return;
    }
    void socket.join([`user:${person.id}`, `session:${session.id}`]);
    socket.on('sync:hello', (body: { cursor?: unknown }, ack: (answer: unknown) => void) => {
      ack(welcome(socket, body.cursor, person.granted));
    });
  });

  return { commit };
}
