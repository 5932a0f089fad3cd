import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Mutation, PushVerdict } from '../../protocol/sync.ts';
import { connectWire, startSyncGateway, tokenFor, until } from '../support/sync-gateway.ts';
import type { SyncGateway, WireClient } from '../support/sync-gateway.ts';

const stock = (sku: string, quantity = 10): Mutation => ({
  collection: 'stoku',
  id: sku,
  op: 'put',
  partition: 'b1',
  data: { sku, quantity },
});

describe('sync: push', () => {
  let gateway: SyncGateway;
  const clients: WireClient[] = [];
  const client = async (...args: Parameters<typeof connectWire> extends [string, ...infer R] ? R : never) => {
    const connected = await connectWire(gateway.url, ...args);
    clients.push(connected);
    return connected;
  };
  before(async () => {
    gateway = await startSyncGateway();
  });
  afterEach(() => clients.splice(0).forEach((c) => c.close()));
  after(() => gateway.close());

  it('[P1] acknowledges a batch once it is committed, with its version', async () => {
    const a = await client();
    await a.hello();
    const verdict = (await a.push([stock('p1')])) as PushVerdict;
    expect(verdict).to.include({ ok: true, seq: 1 });
    const [row] = await gateway.db.sql<{ version: number }>(`SELECT version FROM records WHERE id = 'p1'`);
    expect(row?.version).to.equal(verdict.version);
    expect(verdict.results).to.deep.equal([{ status: 'applied', version: verdict.version }]);
  });

  it('[P3] carries a change to another subscriber, live', async () => {
    const a = await client();
    const b = await client();
    await a.hello();
    await b.hello();
    await until('snapshot', () => b.cursor !== null);
    await a.push([stock('live')]);
    await until('delta', () => b.records.has('stoku/live'));
    expect(b.faults).to.deep.equal([]);
  });

  it('[P2] answers a repeated batch with the stored result', async () => {
    const a = await client();
    await a.hello();
    const batchId = randomUUID();
    const first = (await a.push([stock('twice')], { seq: 1, batchId })) as PushVerdict;
    const again = (await a.push([stock('twice')], { seq: 1, batchId })) as PushVerdict;
    expect(again).to.deep.equal({ ...first, replay: true });
  });

  it('[P3] resumes from a cursor without loss', async () => {
    const token = tokenFor();
    const a = await client();
    const b = await client({ token });
    await a.hello();
    await b.hello();
    await until('snapshot', () => b.cursor !== null);
    b.close();
    for (let i = 0; i < 5; i += 1) await a.push([stock(`resume-${i}`)]);
    const again = await client({ token, clientId: b.clientId, incarnation: b.incarnation });
    again.cursor = b.cursor;
    const reply = await again.hello();
    expect(reply.mode).to.equal('resume');
    await until('catch-up', () => again.records.has('stoku/resume-4'));
    expect(again.faults).to.deep.equal([]);
  });

  it('[P2] increments exactly', async () => {
    const a = await client();
    await a.hello();
    await a.push([stock('inc', 0.1)]);
    await a.push([{ collection: 'stoku', id: 'inc', op: 'patch', increment: { quantity: 0.2 } }]);
    const [row] = await gateway.db.sql<{ data: { quantity: number } }>(
      `SELECT data FROM records WHERE id = 'inc'`,
    );
    expect(row?.data.quantity).to.equal(0.3);
  });
});
