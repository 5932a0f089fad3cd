import { expect } from 'chai';
import type { Mutation } from '../../protocol/sync.ts';
import { createMemoryStore, createSyncClient } from '../../sdk/index.ts';
import type { Store, SyncClient } from '../../sdk/index.ts';
import { startSyncGateway, tokenFor, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';

const stock = (sku: string): Mutation => ({
  collection: 'stoku',
  id: sku,
  op: 'put',
  data: { sku, quantity: 1 },
});

/** The client engine against the real sync core: nothing scripted between them. */
describe('sdk: on the real gateway', () => {
  let gateway: SyncGateway;
  const clients: SyncClient[] = [];
  const start = async (store: Store, token = tokenFor()): Promise<SyncClient> => {
    const client = createSyncClient({
      url: gateway.url,
      tokens: { getAccessToken: () => Promise.resolve(token) },
      store,
      subscribe: [{ collection: 'stoku' }],
      backoff: { baseMs: 20, capMs: 100 },
    });
    clients.push(client);
    await client.start();
    return client;
  };
  before(async () => {
    gateway = await startSyncGateway();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close();
  });
  after(() => gateway.close());

  const rows = async (id: string): Promise<number> =>
    (await gateway.db.sql(`SELECT 1 FROM changes WHERE record_id = $1`, [id])).length;

  it('[P3] [SN1] a snapshot of a thousand records, then live changes, equal to the centre', async () => {
    const a = await start(createMemoryStore());
    for (let i = 0; i < 10; i += 1) {
      await a.push(Array.from({ length: 100 }, (_, j) => stock(`many-${i}-${j}`)));
    }
    await a.drained();
    const b = await start(createMemoryStore());
    await until('the snapshot', () => b.state.name === 'live');
    expect(await b.replica.count('stoku')).to.equal(1_000);
    await a.push([stock('one-more')]);
    await until('the change', async () => (await b.replica.get('stoku', 'one-more')) !== undefined);
  });

  it('[H4] new credentials on an old store: a new installation sends on what waits, once', async () => {
    const store = createMemoryStore();
    const first = await start(store, tokenFor({ id: '6f1c1a30-0000-4000-8000-000000000001' }));
    await (
      await first.push([stock('before')])
    ).settled;
    const { clientId } = await store.identity();
    await first.close({ closeStore: false });
    await store.enqueue({ mutations: [stock('waiting')] });
    const second = await start(store, tokenFor({ id: '6f1c1a30-0000-4000-8000-000000000002' }));
    await second.drained();
    expect((await store.identity()).clientId).to.not.equal(clientId);
    expect(await rows('waiting')).to.equal(1);
  });

  it('[PU4] [F35] a batch that was applied before the store was restored is not applied again', async () => {
    const store = createMemoryStore();
    const token = tokenFor();
    const a = await start(store, token);
    const batch = await a.push([stock('restored')]);
    await batch.settled;
    await a.close({ closeStore: false });
    await store.enqueue({ mutations: [stock('restored')], batchId: batch.batchId });
    await store.renewIncarnation();
    const again = await start(store, token);
    await again.drained();
    expect(await rows('restored')).to.equal(1);
    expect(await store.inboxCount()).to.equal(0);
  });
});
