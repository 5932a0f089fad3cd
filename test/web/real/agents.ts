import {
  createMachineSession,
  createMemoryStore,
  createSyncClient,
  type SyncClient,
} from '../../../sdk/index.ts';
import type { Mutation } from '../../../protocol/sync.ts';
import type { Admin } from './admin.ts';

/** Branch agents, each registered the first time its branch has something to send. */
export function createAgents(url: string, admin: Admin) {
  const clients = new Map<string, Promise<SyncClient>>();

  async function start(name: string): Promise<SyncClient> {
    const tokens = createMachineSession({ baseUrl: url, ...(await admin.registerClient(name)) });
    const client = createSyncClient({ url, tokens, store: createMemoryStore(), subscribe: [] });
    await client.start();
    return client;
  }

  return {
    async push(partition: string, mutations: Mutation[]): Promise<void> {
      const starting = clients.get(partition) ?? start(partition);
      clients.set(partition, starting);
      const client = await starting;
      const placed = mutations.map((mutation) => ({ partition, ...mutation }));
      const { results } = await (await client.push(placed)).settled;
      const refused = results.find((result) => result.status !== 'applied' && result.status !== 'merged');
      if (refused) throw new Error(`refused: ${refused.code ?? refused.status} ${refused.message ?? ''}`);
    },
    async close(): Promise<void> {
      for (const client of clients.values()) await (await client).close();
    },
  };
}
