import { expect } from 'chai';
import fc from 'fast-check';
import { COLLECTIONS } from '../../protocol/collections.ts';
import type { Mutation, MutationResult, RecordData } from '../../protocol/sync.ts';
import { GroupQueue } from '../../server/group-queue.ts';
import { createCollections } from '../../server/sync/collections.ts';
import { decideBatch } from '../../server/sync/decide.ts';
import { createTally } from '../../server/sync/tally.ts';
import { keyOf, WorkingSet } from '../../server/sync/working-set.ts';
import { addTenant, tokenFor, toPrincipal } from '../support/sync-gateway.ts';
import { applied, patch, stock, useGateway, verdictOf } from './setup.ts';

const FIELDS = 20_000;
const sold = (id: string): Mutation => patch(id, { increment: { quantity: 1 } });

describe('sync: work that a batch makes for the node', () => {
  const suite = useGateway();

  /** More fields than a record may be given now: one from before there was a limit. */
  async function addWide(id: string): Promise<void> {
    const data: RecordData = { sku: id, quantity: 0 };
    for (let i = 0; i < FIELDS; i += 1) data[`f${i}`] = i % 10;
    const json = JSON.stringify(data);
    await suite.gateway.db.sql(
      `INSERT INTO records (tenant_id, collection, id, partition, version, data, bytes, base_version)
       VALUES (1, 'stoku', $1, 'b1', 1, $2, $3, 1)`,
      [id, json, json.length],
    );
  }

  it('[PU9] [P6] 1,000 patches of one large record cost one copy of it, not 1,000', async () => {
    await addWide('often');
    const a = await suite.greeted();
    const start = performance.now();
    const verdict = verdictOf(await a.push(Array.from({ length: 1_000 }, () => sold('often'))));
    expect(verdict.version).to.be.a('number');
    expect(performance.now() - start).to.be.below(5_000);
    const [row] = await suite.gateway.db.sql<{ quantity: string }>(
      `SELECT data->>'quantity' AS quantity FROM records WHERE id = 'often'`,
    );
    expect(row?.quantity).to.equal('1000');
  }).timeout(60_000);

  it('[P6] [I4] pushes that each rewrite a large record go in small groups: another tenant comes in between', async () => {
    await addWide('again');
    const push = await suite.direct();
    const tenantId = await addTenant(suite.gateway.db);
    const other = await suite.greeted({ token: tokenFor({ tenantId }) });
    await applied(other, stock('theirs'));
    let open = 60;
    const all = Array.from({ length: open }, (_, i) =>
      push(i + 1, [sold('again')]).finally(() => (open -= 1)),
    );
    await all[0];
    // the first are not kept waiting for the last
    expect(open).to.be.above(30);
    for (let i = 0; i < 3; i += 1) await applied(other, sold('theirs'));
    expect(open).to.be.above(0);
    expect((await Promise.all(all)).every((ack) => ack.ok && ack.version !== null)).to.equal(true);
  }).timeout(60_000);

  it('[V10] [P5] large records that are patched count before they are copied, whatever comes of it; the verdict is final', async () => {
    const ids = Array.from({ length: 30 }, (_, i) => `costly-${i}`);
    for (const id of ids) await addWide(id);
    const a = await suite.greeted();
    const wrong = ids.map((id) => patch(id, { set: { sku: 5 } }));
    const { results } = verdictOf(await a.push(wrong, { atomic: false }));
    expect(results[0]?.code).to.equal('schema_violation');
    expect(results[29]).to.include({ code: 'payload_too_large' });
    expect(results[29]?.message).to.include('stoku/costly-29').and.include('4 MiB');
  }).timeout(60_000);

  it('[V10] a record has 2,000 fields at the most; one that has more can still be changed', async () => {
    const a = await suite.greeted();
    const wide = (count: number): RecordData => {
      const data: RecordData = { sku: 'x', quantity: 1 };
      for (let i = 2; i < count; i += 1) data[`f${i}`] = i;
      return data;
    };
    const codes = async (mutations: Mutation[]): Promise<(string | undefined)[]> =>
      verdictOf(await a.push(mutations, { atomic: false })).results.map(({ code }) => code);
    await addWide('legacy');
    const fresh = (id: string, count: number): Mutation => ({ ...stock(id), data: wide(count) });
    const more = (id: string): Mutation => patch(id, { set: { another: 1 } });
    expect(await codes([fresh('f-1', 2_000), fresh('f-2', 2_001)])).to.deep.equal([
      undefined,
      'payload_too_large',
    ]);
    expect(await codes([more('f-1'), more('legacy'), sold('f-1'), sold('legacy')])).to.deep.equal([
      'payload_too_large',
      'payload_too_large',
      undefined,
      undefined,
    ]);
    const exchange = patch('f-1', { set: { another: 1 }, unset: ['f2'] });
    expect(await codes([sold('f-1'), more('f-1'), exchange, more('f-1')])).to.deep.equal([
      undefined,
      'payload_too_large',
      undefined,
      undefined,
    ]);
  });

  it('[V7] a record that is too large to be shown is written out once, however many conflicts name it', () => {
    let times = 0;
    const theirs = { toJSON: () => (times += 1) && 'x'.repeat(100_000) };
    const tally = createTally();
    const result: MutationResult = {
      status: 'conflict',
      code: 'stale_version',
      conflict: { yours: null, theirs },
    };
    for (let i = 0; i < 100; i += 1) expect(tally.shown(result).conflict).to.deep.equal({ omitted: true });
    expect(times).to.equal(1);
  });
});

const value = fc.constantFrom<unknown>(
  'a',
  'ëë',
  '😀',
  5,
  null,
  { deep: ['x'] },
  'draft',
  'placed',
  'shipped',
);
const change: fc.Arbitrary<Partial<Mutation>> = fc.record(
  {
    set: fc.dictionary(fc.constantFrom('name', 'status', 'number', 'free', 'wëide'), value, { maxKeys: 3 }),
    unset: fc.array(fc.constantFrom('name', 'number', 'free', 'never', 'n'), { maxLength: 2 }),
    increment: fc.dictionary(fc.constantFrom('n', 'free'), fc.integer({ min: -3, max: 3 }), { maxKeys: 2 }),
    guard: fc.constant({ n: { min: -2 } }),
    partition: fc.constantFrom('b1', 'b2'),
  },
  { requiredKeys: [] },
);

describe('sync: patches of one record in one batch', () => {
  const collections = createCollections();
  const principal = toPrincipal(tokenFor());
  const start = (): [string, never][] =>
    ['assets', 'porosia'].map((collection) => {
      const data = { name: 'x', number: '1', status: 'draft', n: 0 };
      const size = JSON.stringify(data).length;
      const record = { partition: 'b1', version: 1, baseVersion: 1, fieldVersions: {}, data, size };
      return [keyOf({ collection, id: '1' }), record as never];
    });
  const decide = (records: WorkingSet, mutations: Mutation[]): MutationResult[] => {
    const context = { principal, collections, records, trusted: false, suspicious: false, texts: new Map() };
    const { results } = decideBatch(context, mutations, false);
    records.accept();
    return results.map(({ status, code, path }) => ({ status, code, path }));
  };

  it('[PU10] get what they would get in batches of their own, and leave the same record, measured exactly', () =>
    fc.assert(
      fc.property(
        fc.constantFrom('assets', 'porosia'),
        fc.array(change, { minLength: 1, maxLength: 8 }),
        (collection, changes) => {
          const mutations = changes.map((some) => patch('1', some, collection));
          const [together, apart] = [new WorkingSet(start()), new WorkingSet(start())];
          const results = decide(together, mutations);
          expect(results).to.deep.equal(mutations.flatMap((mutation) => decide(apart, [mutation])));
          const one = together.get({ collection, id: '1' })!;
          const other = apart.get({ collection, id: '1' })!;
          expect(one.data).to.deep.equal(other.data);
          expect(one.partition).to.equal(other.partition);
          expect(Object.keys(one.fieldVersions)).to.have.members(Object.keys(other.fieldVersions));
          const json = JSON.stringify(one.data);
          expect(one.size).to.equal(Buffer.byteLength(json));
          expect(one.json ?? json).to.equal(json);
          expect(one.copy?.fields ?? 4).to.equal(Object.keys(one.data).length);
        },
      ),
      { numRuns: 2_000 },
    ));

  it('[V4] no schema looks at a field together with another, so that the touched ones can be judged alone', () => {
    for (const { name, schema } of COLLECTIONS)
      expect(Object.keys(schema), name).to.have.members(
        'properties' in schema ? ['type', 'required', 'properties'] : ['type', 'required'],
      );
  });
});

describe('sync: the queue of a tenant', () => {
  it('[PU13] [I4] a group that ends early: the others go first in the next one, which takes little more', async () => {
    const sizes: number[] = [];
    const order: number[] = [];
    const queue = new GroupQueue<number, number>((items) => {
      sizes.push(items.length);
      const done = items.slice(0, 3);
      order.push(...done);
      return Promise.resolve(done);
    });
    const settled = await Promise.all(Array.from({ length: 12 }, (_, i) => queue.submit(i, 1)));
    expect(settled).to.deep.equal(Array.from({ length: 12 }, (_, i) => i));
    expect(order).to.deep.equal(settled);
    expect(sizes).to.deep.equal([12, 6, 6, 3]);
    expect(queue.waiting).to.equal(0);
  });
});
