import { openDB, type DBSchema, type IDBPDatabase } from 'idb';

/** A message that the gateway has not acknowledged. */
export interface WaitingMessage {
  clientMessageId: string;
  room: string;
  body: string;
}

/** Keeps what was written until it is sent: a page may be closed before. Sending twice is harmless, by the message's id. */
export interface WaitingMessages {
  /** In the order of writing. */
  all: () => Promise<WaitingMessage[]>;
  keep: (message: WaitingMessage) => Promise<void>;
  drop: (clientMessageId: string) => Promise<void>;
  close: () => void;
}

interface Schema extends DBSchema {
  waiting: { key: number; value: WaitingMessage; indexes: { clientMessageId: string } };
}

/** Rejects where the browser keeps nothing. */
export async function openWaitingMessages(name: string): Promise<WaitingMessages> {
  const database = await openDB<Schema>(name, 1, {
    upgrade(fresh) {
      const store = fresh.createObjectStore('waiting', { autoIncrement: true });
      store.createIndex('clientMessageId', 'clientMessageId', { unique: true });
    },
    // Somebody logs out in another tab: what waits is to be deleted.
    blocking: (_old, _next, event) => (event.target as IDBDatabase).close(),
  });
  return new KeptMessages(database);
}

class KeptMessages implements WaitingMessages {
  readonly #database: IDBPDatabase<Schema>;

  constructor(database: IDBPDatabase<Schema>) {
    this.#database = database;
  }

  all(): Promise<WaitingMessage[]> {
    return this.#database.getAll('waiting');
  }

  async keep(message: WaitingMessage): Promise<void> {
    const tx = this.#database.transaction('waiting', 'readwrite', { durability: 'strict' });
    const known = await tx.store.index('clientMessageId').getKey(message.clientMessageId);
    if (known === undefined) await tx.store.add(message);
    await tx.done;
  }

  async drop(clientMessageId: string): Promise<void> {
    const tx = this.#database.transaction('waiting', 'readwrite');
    const key = await tx.store.index('clientMessageId').getKey(clientMessageId);
    if (key !== undefined) await tx.store.delete(key);
    await tx.done;
  }

  close(): void {
    this.#database.close();
  }
}

/** Where the browser keeps nothing, messages wait for as long as the page is open. */
export const NOTHING_KEPT: WaitingMessages = {
  all: () => Promise.resolve([]),
  keep: () => Promise.resolve(),
  drop: () => Promise.resolve(),
  close: () => undefined,
};
