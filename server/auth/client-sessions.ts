import { isUnavailable } from '../db.ts';
import type { Sql } from '../db.ts';
import { GroupQueue } from '../group-queue.ts';
import { openClientSessions } from './sessions.ts';
import type { ClientSession } from './sessions.ts';

/** Opens the sessions of clients that ask at the same time together: they share a round trip and a commit. */
export type ClientSessions = GroupQueue<ClientSession, boolean>;

export function createClientSessions(sql: Sql): ClientSessions {
  return new GroupQueue(async (clients) => {
    try {
      return await openClientSessions(sql, clients);
    } catch (error) {
      if (clients.length === 1 || isUnavailable(error)) throw error;
      // no client pays for what is wrong with another one's
      return Promise.all(clients.map((client) => openOne(sql, client)));
    }
  });
}

async function openOne(sql: Sql, client: ClientSession): Promise<boolean | Error> {
  try {
    const [isOpen = false] = await openClientSessions(sql, [client]);
    return isOpen;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
