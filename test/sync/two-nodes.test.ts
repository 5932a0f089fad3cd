import { expect } from 'chai';
import type { Mutation } from '../../protocol/sync.ts';
import { connectWire, startSyncGateway, tokenFor } from '../support/sync-gateway.ts';
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
});
