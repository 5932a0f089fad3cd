import {
  createChatClient,
  createIndexedDbStore,
  createMemoryStore,
  createSyncClient,
  type ChatClient,
  type Session,
  type SessionUser,
  type Store,
  type SyncClient,
} from '../../../sdk/index.ts';
import { copyName, noteCopy, paceKey, waitingName } from './local-copy.ts';
import { COLLECTIONS, createRecords, type Records } from './records.ts';
import { createRooms, type Rooms } from './rooms.ts';
import { NOTHING_KEPT, openWaitingMessages } from './waiting-messages.ts';

/** Everything a logged-in page talks to. */
export interface Engine {
  sync: SyncClient;
  chat: ChatClient;
  records: Records;
  rooms: Rooms;
  /** `memory`: another tab has the durable copy, or the browser keeps none. */
  storage: 'kept' | 'memory';
  close: () => Promise<void>;
}

export interface EngineDeps {
  session: Session;
  user: SessionUser;
  url: string;
  onRevoked: (code: string) => void;
}

const SAVE_EVERY_MS = 1_000;

/** Opens the local copy of this user and tenant, and keeps both connections. */
export async function startEngine(deps: EngineDeps): Promise<Engine> {
  const name = copyName(await knowTenant(deps));
  noteCopy(name);
  const saved = findPace(name);
  const kept = await startSync(deps, createIndexedDbStore(name), saved).catch(() => undefined);
  const { sync, records } = kept ?? (await startSync(deps, createMemoryStore(), null));
  const chat = createChatClient({ url: deps.url, tokens: deps.session });
  const waiting = await openWaitingMessages(waitingName(name)).catch(() => NOTHING_KEPT);
  const rooms = await createRooms({ client: chat, waiting });
  const unlisten = [sync.on('revoked', revoked), chat.on('revoked', revoked)];
  // The counts belong to the copy that is kept: a tab without it has heard other changes.
  if (kept) unlisten.push(keepPace(name, records));
  chat.start();

  function revoked({ code }: { code: string }): void {
    deps.onRevoked(code);
  }

  return {
    sync,
    chat,
    records,
    rooms,
    storage: kept ? 'kept' : 'memory',
    async close() {
      unlisten.forEach((stop) => stop());
      records.close();
      rooms.close();
      await Promise.allSettled([sync.close(), chat.close()]);
    },
  };
}

/** The answer to a login may lack the tenant that `/auth/me` has; the name must be the same after a reload. */
async function knowTenant({ session, user }: EngineDeps): Promise<SessionUser> {
  return user['tenant_id'] === undefined ? session.me() : user;
}

async function startSync(
  { session, url }: EngineDeps,
  store: Store,
  saved: string | null,
): Promise<{ sync: SyncClient; records: Records }> {
  const sync = createSyncClient({
    url,
    tokens: session,
    store,
    subscribe: COLLECTIONS.map((collection) => ({ collection })),
    app: { name: 'sluice-web', version: '1' },
  });
  const records = createRecords({ client: sync, saved });
  try {
    await sync.start();
  } catch (error) {
    records.close();
    await sync.close().catch(() => undefined);
    throw error;
  }
  void records.load();
  return { sync, records };
}

function findPace(name: string): string | null {
  try {
    return localStorage.getItem(paceKey(name));
  } catch {
    return null;
  }
}

/** The gateway does not tell again when it took an invoice, so the counts of the last hour outlive a reload here. */
function keepPace(name: string, records: Records): () => void {
  let written = '';
  const save = (): void => {
    const text = records.save();
    if (text === written) return;
    try {
      localStorage.setItem(paceKey(name), text);
      written = text;
    } catch {
      // A full or forbidden storage costs the chart its past, nothing else.
    }
  };
  const timer = setInterval(save, SAVE_EVERY_MS);
  addEventListener('pagehide', save);
  return () => {
    clearInterval(timer);
    removeEventListener('pagehide', save);
    save();
  };
}
