import { expect } from 'chai';
import { createLocalHints } from '../../server/hints.ts';
import { createDatabase } from '../support/database.ts';
import { addTenant, connectWire, startSyncGateway, until } from '../support/sync-gateway.ts';
import type { GatewayOptions, SyncGateway, WireClient } from '../support/sync-gateway.ts';
import { applied, asset } from './setup.ts';

describe('sync: a backup is put back underneath two nodes, and the log grows beyond where they were', () => {
  let gateways: SyncGateway[];
  const clients: WireClient[] = [];

  beforeEach(() => (gateways = []));
  afterEach(async () => {
    clients.splice(0).forEach((client) => client.close());
    for (const gateway of gateways) await gateway.close();
  });
  const start = async (options: GatewayOptions): Promise<SyncGateway> => {
    const gateway = await startSyncGateway(options);
    gateways.push(gateway);
    return gateway;
  };
  const connect = async ({ url }: SyncGateway): Promise<WireClient> => {
    const client = await connectWire(url);
    clients.push(client);
    return client;
  };
  const write = async (gateway: SyncGateway, name: string, count: number): Promise<void> => {
    const writer = await connect(gateway);
    await writer.hello({ subscribe: [] });
    for (let i = 1; i <= count; i += 1) await applied(writer, asset(`${name}-${i}`));
  };
  /** As it was at version 2: the same rows, so the same epoch. */
  const restore = async ({ db }: SyncGateway): Promise<void> => {
    for (const table of ['changes', 'records', 'sync_batches'])
      await db.sql(`DELETE FROM ${table} WHERE version > 2`);
    await db.sql('UPDATE sync_versions SET head = 2 WHERE tenant_id = 1');
  };
  const NAMES = ['old-1', 'old-2', 'new-1', 'new-2', 'new-3', 'new-4', 'new-5', 'new-6'];

  /** Follows on `a`, has the log replaced and written on over `b`, and expects to be sent back to the start. */
  async function followThroughRestore(a: SyncGateway, b: SyncGateway): Promise<void> {
    const reader = await connect(a);
    await reader.hello();
    await write(a, 'old', 5);
    await until('the old history', () => reader.records.has('assets/old-5'));
    await restore(b);
    await write(b, 'new', 6);
    await until('the end', () => reader.socket.disconnected);
    // nothing of the new history came behind the old one
    expect(reader.applied).to.deep.equal(['1.0', '2.0', '3.0', '4.0', '5.0']);
    const again = await connect(a);
    const { mode } = await again.hello({ cursor: reader.cursor });
    expect(mode).to.equal('reset');
    await until('the new history', () => again.cursor !== null);
    expect([...again.records.keys()].sort()).to.deep.equal(NAMES.map((name) => `assets/${name}`).sort());
  }

  it('[E7] a poll that comes after it has overtaken the feed notices', async () => {
    const databaseUrl = await createDatabase();
    const poll = { minMs: 1_500, maxMs: 1_500 };
    const a = await start({ databaseUrl, poll });
    await followThroughRestore(a, await start({ databaseUrl }));
  });

  it('[E7] [D8] nothing is read on behind a history that is no more, though hints say that there is something', async () => {
    const databaseUrl = await createDatabase();
    const hints = createLocalHints();
    const a = await start({ databaseUrl, hints, poll: { minMs: 1_500, maxMs: 1_500 } });
    await followThroughRestore(a, await start({ databaseUrl, hints }));
  });

  it('[E7] a tenant that is no more keeps no other one from being followed again', async () => {
    const gateway = await start({ poll: { minMs: 50, maxMs: 50 } });
    const { db, sync } = gateway;
    const gone = await addTenant(db);
    const heard: number[] = [];
    const feeds = [await sync.follow(gone), await sync.follow(1)];
    for (const feed of feeds) feed.listen(({ version }) => void heard.push(version));
    await db.sql(
      `WITH gone AS (DELETE FROM sync_versions WHERE tenant_id = $1)
       UPDATE sync_versions SET epoch = gen_random_uuid() WHERE tenant_id = 1`,
      [gone],
    );
    await until('both to be given up', () => sync.tenants.followed < 2);
    await until('the new feed', () => sync.tenants.followed === 1);
    await write(gateway, 'heard', 1);
    await until('the change', () => heard.includes(1));
  });
});
