import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Mutation } from '../../protocol/sync.ts';
import { useGateway, verdictOf } from './setup.ts';

const setting = (id: string, length: number): Mutation => ({
  collection: 'settings',
  id,
  op: 'put',
  data: { value: 'x'.repeat(length) },
});

describe('sync: what one batch may cost', () => {
  const suite = useGateway();

  it('[V7] conflicts show at most 64 KiB in one batch; the others name their versions alone', async () => {
    const a = await suite.greeted();
    await a.push([setting('large', 60_000)]);
    const stale: Mutation = {
      collection: 'settings',
      id: 'large',
      op: 'patch',
      baseVersion: 0,
      set: { value: 'y' },
    };
    const verdict = verdictOf(
      await a.push(
        Array.from({ length: 100 }, () => stale),
        { atomic: false },
      ),
    );
    expect(JSON.stringify(verdict).length).to.be.below(100_000);
    expect(verdict.results[0]?.conflict).to.have.property('theirs');
    expect(verdict.results[99]?.conflict).to.include({ omitted: true }).and.have.property('theirsVersion');
  });

  it('[V10] a batch may not make more than 4 MiB of records', async () => {
    const a = await suite.greeted();
    for (let i = 0; i < 25; i += 1)
      await a.push([
        {
          ...setting(`wide-${i}`, 200_000),
          collection: 'assets',
          data: { name: 'x', text: 'x'.repeat(200_000) },
        },
      ]);
    const patches = Array.from({ length: 25 }, (_, i): Mutation => ({
      collection: 'assets',
      id: `wide-${i}`,
      op: 'patch',
      set: { status: 's' },
    }));
    const verdict = verdictOf(await a.push(patches));
    expect(verdict.version).to.equal(null);
    expect(verdict.results.at(-1)?.code).to.equal('payload_too_large');
  });

  it('[V10] a batch whose records are too many bytes to hold is a verdict, not a retry for ever', async () => {
    const a = await suite.greeted();
    const { sql } = suite.gateway.db;
    await sql(`INSERT INTO records (tenant_id, collection, id, partition, version, data, bytes, base_version)
               SELECT 1, 'assets', 'heavy-' || g, 'default', 1, '{"name":"x"}', 250000, 1 FROM generate_series(0, 99) g`);
    const patches = Array.from({ length: 100 }, (_, i): Mutation => ({
      collection: 'assets',
      id: `heavy-${i}`,
      op: 'patch',
      set: { status: 's' },
    }));
    const verdict = verdictOf(await a.push(patches));
    expect(verdict.results[0]?.code).to.equal('payload_too_large');
    expect(verdictOf(await a.push([setting('after-heavy', 1)])).version).to.be.a('number');
  });

  it('[PO3] names that were never there leave no trace; fields that come and go are forgotten in time', async () => {
    const a = await suite.greeted();
    await a.push([{ collection: 'assets', id: 'fields', op: 'put', data: { name: 'x' } }]);
    const unset = Array.from({ length: 1_000 }, (_, i) => `ghost-${i}`);
    await a.push([{ collection: 'assets', id: 'fields', op: 'patch', unset }]);
    for (let round = 0; round < 5; round += 1) {
      const names = Array.from({ length: 100 }, (_, i) => `f-${round}-${i}`);
      await a.push([
        {
          collection: 'assets',
          id: 'fields',
          op: 'patch',
          set: Object.fromEntries(names.map((n) => [n, 1])),
        },
      ]);
      await a.push([{ collection: 'assets', id: 'fields', op: 'patch', unset: names }]);
    }
    const [row] = await suite.gateway.db.sql<{ n: number }>(
      `SELECT length(field_versions::text) AS n FROM records WHERE id = 'fields'`,
    );
    expect(row?.n).to.be.below(10_000);
  });

  it('[V2] a patch that says nothing, and a guard that is not understood, are refused', async () => {
    const a = await suite.greeted();
    await a.push([{ collection: 'stoku', id: 'typo', op: 'put', data: { sku: 'typo', quantity: 1 } }]);
    const patches = [
      {},
      { incremnt: { quantity: 1 } },
      { increment: { quantity: -10 }, guard: { quantity: { gte: 0 } } },
    ];
    for (const patch of patches) {
      const mutation = { collection: 'stoku', id: 'typo', op: 'patch', ...patch } as unknown as Mutation;
      expect(verdictOf(await a.push([mutation])).results[0]?.code).to.equal('invalid_mutation');
    }
    const [row] = await suite.gateway.db.sql<{ data: { quantity: number } }>(
      `SELECT data FROM records WHERE id = 'typo'`,
    );
    expect(row?.data.quantity).to.equal(1);
  });

  it('[H1] [PU2] UUIDs are the same in upper and in lower case', async () => {
    const clientId = randomUUID().toUpperCase();
    const a = await suite.client({ clientId });
    await a.hello();
    const batchId = randomUUID();
    const first = verdictOf(await a.push([setting('case', 1)], { seq: 1, batchId: batchId.toUpperCase() }));
    const again = verdictOf(await a.push([setting('case', 1)], { seq: 1, batchId }));
    expect(again).to.deep.equal({ ...first, replay: true });
  });
});
