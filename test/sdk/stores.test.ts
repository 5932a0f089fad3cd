import 'fake-indexeddb/auto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Change, SnapshotRecord } from '../../protocol/sync.ts';
import { createFileStore } from '../../sdk/file-store.ts';
import { createIndexedDbStore, createMemoryStore } from '../../sdk/index.ts';
import type { Store, StoreOptions } from '../../sdk/index.ts';
import { put } from './support.ts';

let directory = '';
let names = 0;

const kinds: Record<string, { create: (options?: StoreOptions) => Store; durable: boolean }> = {
  memory: { create: createMemoryStore, durable: false },
  indexeddb: { create: (options) => createIndexedDbStore(`store-${names}`, options), durable: true },
  file: {
    create: (options) => createFileStore({ ...options, path: join(directory, `store-${names}.db`) }),
    durable: true,
  },
};

for (const [kind, { create, durable }] of Object.entries(kinds))
  describe(`sdk store: ${kind}`, () => {
    let store: Store;
    beforeEach(async () => {
      directory = mkdtempSync(join(tmpdir(), 'sluice-store-'));
      names += 1;
      store = create({ maxOutbox: 5 });
      await store.open();
    });
    afterEach(async () => {
      await store.close();
      rmSync(directory, { recursive: true });
    });

    it('numbers batches 1, 2, 3… and gives them out in that order', async () => {
      for (const id of ['a', 'b', 'c']) await store.enqueue({ mutations: [put(id)] });
      const batches = await store.outbox({ after: 1, limit: 10 });
      expect(batches.map((batch) => [batch.seq, batch.mutations[0]?.id])).to.deep.equal([
        [2, 'b'],
        [3, 'c'],
      ]);
      expect((await store.identity()).nextSeq).to.equal(4);
    });

    it('keeps atomic, dependsOn and the batchId; a batchId that waits is not enqueued twice', async () => {
      const first = await store.enqueue({ mutations: [put('a')] });
      const batch = { mutations: [put('b')], atomic: false, dependsOn: [first.batchId] };
      const second = await store.enqueue(batch);
      const again = await store.enqueue({ ...batch, batchId: second.batchId });
      expect(again).to.deep.equal(second);
      expect((await store.outbox({ after: 1, limit: 5 }))[0]).to.deep.include(batch);
      expect(await store.outboxCount()).to.equal(2);
    });

    it('[P6] outbox_full: nothing is added, and there is room again after a verdict', async () => {
      for (let i = 0; i < 5; i += 1) await store.enqueue({ mutations: [put(`${i}`)] });
      const failure = await store.enqueue({ mutations: [put('x')] }).catch((error: unknown) => error);
      expect(failure).to.include({ code: 'outbox_full' });
      const [first] = await store.outbox({ after: 0, limit: 1 });
      await store.settle([{ batchId: first!.batchId, outcome: 'applied' }]);
      expect((await store.enqueue({ mutations: [put('x')] })).seq).to.equal(6);
    });

    it('settles once: refused batches go to the inbox, unknown ones are passed over', async () => {
      const { batchId } = await store.enqueue({ mutations: [put('a')] });
      const settlement = { batchId, outcome: 'rejected' as const };
      expect(await store.settle([settlement, { batchId: 'unknown', outcome: 'applied' }])).to.have.lengthOf(
        1,
      );
      expect(await store.settle([settlement])).to.have.lengthOf(0);
      expect((await store.inbox()).map((entry) => entry.batch.batchId)).to.deep.equal([batchId]);
      await store.dismiss(batchId);
      expect(await store.inboxCount()).to.equal(0);
    });

    it('[F35] a new incarnation numbers the outbox from 1 with the same batchIds and clientId', async () => {
      for (const id of ['a', 'b', 'c']) await store.enqueue({ mutations: [put(id)] });
      const before = await store.outbox({ after: 0, limit: 9 });
      await store.settle([{ batchId: before[0]!.batchId, outcome: 'applied' }]);
      const old = await store.identity();
      const renewed = await store.renewIncarnation();
      const after = await store.outbox({ after: 0, limit: 9 });
      expect(after.map((batch) => [batch.seq, batch.batchId])).to.deep.equal([
        [1, before[1]!.batchId],
        [2, before[2]!.batchId],
      ]);
      expect(renewed).to.include({ clientId: old.clientId, nextSeq: 3 });
      expect(renewed.incarnation).to.not.equal(old.incarnation);
    });

    it('[P3] a delta is stored with its cursor, or not at all when it does not follow', async () => {
      await atCursor(store, 'c0');
      await store.applyDelta({ from: 'c0', to: 'c1', changes: [change('a', 1)] });
      const failure = await store
        .applyDelta({ from: 'c0', to: 'c2', changes: [change('b', 2)] })
        .catch((error: unknown) => error);
      expect(failure).to.include({ code: 'cursor_mismatch' });
      expect(await store.count('stoku')).to.equal(1);
      expect((await store.position()).cursor).to.equal('c1');
    });

    it('delete and evict remove; older versions are passed over; equal ones are applied again', async () => {
      await atCursor(store, 'c0');
      const changes = [change('a', 2), change('b', 3), change('c', 4)];
      const behind = [change('a', 1, 'delete'), change('b', 3, 'evict'), change('c', 5, 'delete')];
      const applied = await store.applyDelta({ from: 'c0', to: 'c1', changes: [...changes, ...behind] });
      expect(applied).to.deep.equal([...changes, ...behind.slice(1)]);
      expect((await store.list('stoku')).map((record) => record.id)).to.deep.equal(['a']);
    });

    it('keeps the page token during a snapshot and the cursor after it; discards all but the outbox', async () => {
      await store.enqueue({ mutations: [put('mine')] });
      await store.discardReplica('scope');
      await store.applySnapshot({ page: 'p1', at: 'c9', more: true, records: [record('a')] });
      expect(await store.position()).to.deep.equal({ cursor: null, page: 'p1', scope: 'scope' });
      await store.applySnapshot({ page: 'p2', at: 'c9', more: false, records: [record('b')] });
      expect(await store.position()).to.deep.equal({ cursor: 'c9', page: null, scope: 'scope' });
      await store.discardReplica('other');
      expect(await store.position()).to.deep.equal({ cursor: null, page: null, scope: 'other' });
      expect([await store.count('stoku'), await store.outboxCount()]).to.deep.equal([0, 1]);
    });

    it('reads by id, page, partition and all of it', async () => {
      await store.discardReplica('s');
      const records = Array.from({ length: 450 }, (_, i) => record(`r${String(i).padStart(3, '0')}`, i % 3));
      await store.applySnapshot({ page: 'p', at: 'c', more: false, records: [...records].reverse() });
      const page = await store.list('stoku', { partition: 'p1', limit: 3, after: 'r004' });
      const all: string[] = [];
      for await (const one of store.iterate('stoku')) all.push(one.id);
      expect(page.map((one) => one.id)).to.deep.equal(['r007', 'r010', 'r013']);
      expect(all).to.deep.equal(records.map((one) => one.id));
      expect([await store.count('stoku'), await store.count('stoku', { partition: 'p2' })]).to.deep.equal([
        450, 150,
      ]);
      expect(await store.get('stoku', 'r007')).to.deep.equal(record('r007', 1));
      expect(await store.get('other', 'r007')).to.equal(undefined);
    });

    it('tells its listeners what was enqueued, until they leave', async () => {
      let told = 0;
      const leave = store.onEnqueued(() => (told += 1));
      await store.enqueue({ mutations: [put('a')] });
      leave();
      await store.enqueue({ mutations: [put('b')] });
      expect(told).to.equal(1);
    });

    if (durable)
      it('[P1] everything is there after it was opened again', async () => {
        await atCursor(store, 'c0');
        await store.applyDelta({ from: 'c0', to: 'c1', changes: [change('a', 1)] });
        const { batchId } = await store.enqueue({ mutations: [put('b')] });
        const identity = await store.identity();
        await store.close();
        store = create();
        await store.open();
        expect(await store.identity()).to.deep.equal(identity);
        expect((await store.position()).cursor).to.equal('c1');
        expect((await store.outbox({ after: 0, limit: 1 }))[0]?.batchId).to.equal(batchId);
        expect(await store.count('stoku')).to.equal(1);
      });
  });

async function atCursor(store: Store, cursor: string): Promise<void> {
  await store.discardReplica('scope');
  await store.applySnapshot({ page: 'p', at: cursor, more: false, records: [] });
}

function change(id: string, version: number, op: Change['op'] = 'put'): Change {
  const common = { collection: 'stoku', partition: 'p', at: '', by: { principal: 'x' }, index: 0 };
  return {
    ...common,
    id,
    op,
    version,
    recordVersion: version,
    ...(op === 'put' ? { data: { version } } : {}),
  };
}

function record(id: string, partition = 0): SnapshotRecord {
  return { collection: 'stoku', id, partition: `p${partition}`, data: { id }, recordVersion: 1 };
}
