import { expect } from 'chai';
import pg from 'pg';
import type { Mutation } from '../../protocol/sync.ts';
import { connectWire, startSyncGateway, tokenFor, until } from '../support/sync-gateway.ts';
import type { SyncGateway, WireClient } from '../support/sync-gateway.ts';
import { verdictOf } from './setup.ts';

const stock = (sku: string, quantity: number): Mutation => ({
  collection: 'stoku',
  id: sku,
  op: 'put',
  data: { sku, quantity },
});
const sell = (sku: string): Mutation => ({
  collection: 'stoku',
  id: sku,
  op: 'patch',
  increment: { quantity: -1 },
  guard: { quantity: { min: 0 } },
});

/** What a node remembers between groups may cost a second run, never a wrong answer. */
describe('sync: two nodes, each with a memory of its own', () => {
  let [a, b]: SyncGateway[] = [];
  const clients: WireClient[] = [];
  const connect = async (
    gateway: SyncGateway | undefined,
    options: Parameters<typeof connectWire>[1] = {},
  ) => {
    const client = await connectWire(gateway?.url ?? '', options);
    clients.push(client);
    await client.hello({ subscribe: [] });
    return client;
  };
  before(async () => {
    a = await startSyncGateway();
    b = await startSyncGateway({ databaseUrl: a.databaseUrl });
  });
  afterEach(() => clients.splice(0).forEach((client) => client.close()));
  after(async () => {
    await b?.close();
    await a?.close();
  });

  const rowsOf = async (id: string): Promise<unknown> =>
    a?.db.sql('SELECT version, data FROM records WHERE id = $1', [id]);
  /** Holds every writer back, in the order in which they come; returns what lets them go. */
  const holdClock = async (): Promise<() => Promise<void>> => {
    const holder = new pg.Client({ connectionString: a?.databaseUrl });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM sync_versions FOR UPDATE');
    return () => holder.end();
  };
  const waiters = (count: number): Promise<void> =>
    until(`${count} waiting writers`, async () => {
      const [row] =
        (await a?.db.sql<{ count: number }>(
          `SELECT count(*)::integer AS count FROM pg_stat_activity
           WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        )) ?? [];
      return row?.count === count;
    });

  it('[PU14] an installation that goes from one node to the other and back is never told of a gap', async () => {
    const identity = { token: tokenFor(), clientId: crypto.randomUUID(), incarnation: 'one' };
    const first = await connect(a, identity);
    for (let i = 0; i < 3; i += 1) verdictOf(await first.push([stock(`wander-a${i}`, 1)]));
    first.close();
    const second = await connect(b, identity);
    for (let i = 0; i < 3; i += 1) verdictOf(await second.push([stock(`wander-b${i}`, 1)]));
    second.close();
    const back = await connect(a, identity);
    expect(verdictOf(await back.push([stock('wander-back', 1)])).seq).to.equal(7);
  });

  it('[V8] [PO3] a refusal is judged on what the other node wrote, not on what this one remembers', async () => {
    const [here, there] = [await connect(a), await connect(b)];
    await here.push([stock('shared', 0)]);
    await there.push([{ collection: 'stoku', id: 'shared', op: 'patch', increment: { quantity: 10 } }]);
    expect(verdictOf(await here.push([sell('shared')])).results[0]?.status).to.equal('applied');
    const mine = verdictOf(await there.push([sell('shared')]));
    const base = { baseVersion: mine.version ?? 0, set: { name: 'lantern' } };
    const patch: Mutation = { collection: 'stoku', id: 'shared', op: 'patch', ...base };
    expect(verdictOf(await here.push([patch])).results[0]?.status).to.equal('applied');
  });

  it('[V9] [PO3] a record that the other node deleted is gone here too, whatever this one remembers', async () => {
    const [here, there] = [await connect(a), await connect(b)];
    const late: [string, (sku: string, version: number) => Mutation][] = [
      ['not_found', (sku) => ({ collection: 'stoku', id: sku, op: 'patch', increment: { quantity: 1 } })],
      ['stale_version', (sku, version) => ({ ...stock(sku, 6), baseVersion: version })],
      ['not_found', (sku) => ({ collection: 'stoku', id: sku, op: 'delete' })],
    ];
    for (const [i, [code, mutation]] of late.entries()) {
      const sku = `gone-${i}`;
      const made = verdictOf(await here.push([stock(sku, 5)]));
      await there.push([{ collection: 'stoku', id: sku, op: 'delete' }]);
      const { results } = verdictOf(await here.push([mutation(sku, made.version ?? 0)]));
      expect(results[0]?.code).to.equal(code);
      expect(await rowsOf(sku)).to.deep.equal([]);
    }
  });

  it('[V9] [PO3] so is one that is deleted while this node writes: whoever is second is told', async () => {
    const [here, there] = [await connect(a), await connect(b)];
    for (const [sku, late] of [
      ['race-1', (): Mutation => ({ ...sell('race-1'), guard: {} })],
      ['race-2', (version: number): Mutation => ({ ...stock('race-2', 9), baseVersion: version })],
    ] as const) {
      const made = verdictOf(await here.push([stock(sku, 5)]));
      const free = await holdClock();
      const first = there.push([{ collection: 'stoku', id: sku, op: 'delete' }]);
      await waiters(1);
      const second = here.push([late(made.version ?? 0)]);
      await waiters(2);
      await free();
      expect(verdictOf(await first).results[0]?.status).to.equal('applied');
      expect(verdictOf(await second).results[0]?.status).to.not.equal('applied');
      expect(await rowsOf(sku)).to.deep.equal([]);
    }
  });

  it('[V8] [PU10] what a batch makes and takes away again is held against what the other node has', async () => {
    const [here, there] = [await connect(a), await connect(b)];
    const blink: Mutation[] = [stock('blink', 1), { collection: 'stoku', id: 'blink', op: 'delete' }];
    const free = await holdClock();
    const first = there.push([{ ...stock('blink', 7), partition: 'far' }]);
    await waiters(1);
    const second = here.push(blink, { atomic: false });
    await waiters(2);
    await free();
    verdictOf(await first);
    const { results } = verdictOf(await second);
    expect(results.map(({ status }) => status)).to.deep.equal(['conflict', 'applied']);
    const logged = await a?.db.sql(
      `SELECT op, partition FROM changes WHERE record_id = 'blink' ORDER BY version, idx`,
    );
    expect(logged).to.deep.equal([
      { op: 'put', partition: 'far' },
      { op: 'delete', partition: 'far' },
    ]);
    expect(await rowsOf('blink')).to.deep.equal([]);
  });
});
