import { expect } from 'chai';
import fc from 'fast-check';
import type { Mutation } from '../../protocol/sync.ts';
import type { Collections } from '../../server/sync/collections.ts';
import { createCollections } from '../../server/sync/collections.ts';
import { formatCursor, formatPage, parseCursor, parsePage } from '../../server/sync/cursor.ts';
import { decideBatch } from '../../server/sync/decide.ts';
import { createGate } from '../../server/gate.ts';
import { GroupQueue } from '../../server/group-queue.ts';
import { keyOf, pendingPlace, WorkingSet } from '../../server/sync/working-set.ts';
import type { WorkingRecord } from '../../server/sync/working-set.ts';
import { toPrincipal, tokenFor } from '../support/sync-gateway.ts';

const builtIn = createCollections();
const assets = builtIn.get('assets')!;
const collections: Collections = new Map([
  ...builtIn,
  ['latest', { ...assets, name: 'latest', policy: 'last_write' }],
]);
const principal = toPrincipal(tokenFor());
type Batch = { mutations: Mutation[]; atomic: boolean };
type Stored = Map<string, WorkingRecord>;

const field = fc.constantFrom('status', 'branch', 'n');
const set = fc.dictionary(field, fc.constantFrom('a', 'b'), { maxKeys: 2 }).map(({ n: _n, ...rest }) => rest);
const mutation: fc.Arbitrary<Mutation> = fc
  .record({
    collection: fc.constantFrom('assets', 'settings', 'latest', 'porosia'),
    id: fc.constantFrom('1', '2'),
    op: fc.constantFrom('put' as const, 'patch' as const, 'delete' as const),
    base: fc.option(fc.integer({ min: 0, max: 6 }), { nil: undefined }),
    set,
    by: fc.integer({ min: -3, max: 3 }),
  })
  .map(({ collection, id, op, base, set: fields, by }) => ({
    collection,
    id,
    op,
    ...(base === undefined ? {} : { baseVersion: base }),
    ...(op === 'put' ? { data: { name: 'x', value: 1, number: '1', ...fields } } : {}),
    ...(op === 'patch' ? { set: fields, increment: { n: by } } : {}),
  }));
const batch: fc.Arbitrary<Batch> = fc.record({
  mutations: fc.array(mutation, { minLength: 1, maxLength: 4 }),
  atomic: fc.boolean(),
});

/** Decides batches as one group does; stops where a conflict waits for a version. Returns how many were decided. */
function decideGroup(
  stored: Stored,
  head: number,
  batches: Batch[],
): { head: number; done: number; results: unknown[] } {
  const records = new WorkingSet(new Map([...stored].map(([key, record]) => [key, structuredClone(record)])));
  const results: unknown[] = [];
  const changed = new Map<string, WorkingRecord | null>();
  for (const { mutations, atomic } of batches) {
    const context = { principal, collections, records, trusted: false, suspicious: false, texts: new Map() };
    const decision = decideBatch(context, mutations, atomic);
    if (decision.deferred) break;
    for (const change of records.accept().changes) changed.set(keyOf(change), change.after);
    results.push(decision.results);
  }
  const allot = (version: number) => head + (pendingPlace(version) ?? version - head);
  for (const [key, record] of changed) {
    if (record) stored.set(key, allotted(record, allot));
    else stored.delete(key);
  }
  return { head: head + records.versions, done: results.length, results };
}

function allotted(record: WorkingRecord, allot: (version: number) => number): WorkingRecord {
  const fieldVersions = Object.fromEntries(
    Object.entries(record.fieldVersions).map(([name, version]) => [name, allot(version)]),
  );
  const { partition, data, size } = record;
  return {
    partition,
    data,
    size,
    version: allot(record.version),
    baseVersion: allot(record.baseVersion),
    fieldVersions,
  };
}

interface State {
  stored: Stored;
  head: number;
  results: unknown[];
}

function decideAll(batches: Batch[], groupSize: number, start?: State): State {
  const stored: Stored = structuredClone(start?.stored ?? new Map<string, WorkingRecord>());
  const results: unknown[] = [];
  let head = start?.head ?? 0;
  for (let at = 0; at < batches.length;) {
    const group = decideGroup(stored, head, batches.slice(at, at + groupSize));
    results.push(...group.results);
    at += group.done;
    head = group.head;
  }
  return { stored, head, results };
}

/** Nobody can know a version that has not been given yet. */
function knowable(batches: Batch[], head: number): Batch[] {
  return batches.map(({ atomic, mutations }) => ({
    atomic,
    mutations: mutations.map((m) =>
      m.baseVersion === undefined ? m : { ...m, baseVersion: m.baseVersion % (head + 1) },
    ),
  }));
}

const holds = (property: fc.IRawProperty<unknown, false>): void => fc.assert(property, { numRuns: 400 });

describe('sync: properties', () => {
  it('[PU13] [V1] a group of batches gets what its batches would get one by one', () =>
    holds(
      fc.property(
        fc.array(batch, { maxLength: 5 }),
        fc.array(batch, { minLength: 1, maxLength: 8 }),
        (before, batches) => {
          const start = decideAll(before, 1);
          const group = knowable(batches, start.head);
          expect(decideAll(group, 8, start)).to.deep.equal(decideAll(group, 1, start));
        },
      ),
    ));

  it('[PU5] a refused atomic batch changes nothing', () =>
    holds(
      fc.property(
        fc.array(batch, { maxLength: 4 }),
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        (before, mutations) => {
          const { stored, head } = decideAll(before, 1);
          const copy = structuredClone(stored);
          const { results, head: after } = decideGroup(stored, head, [{ mutations, atomic: true }]);
          const refused = (results[0] as { code?: string }[]).some(({ code }) => code !== undefined);
          if (!refused) return;
          expect(stored).to.deep.equal(copy);
          expect(after).to.equal(head);
          expect((results[0] as { code?: string }[]).every(({ code }) => code !== undefined)).to.equal(true);
        },
      ),
    ));

  it('[PO7] increments commute in any interleaving', () =>
    holds(
      fc.property(
        fc.array(fc.integer({ min: -500, max: 500 }), { maxLength: 12 }),
        fc.integer(),
        (cents, turn) => {
          const create: Batch = {
            atomic: true,
            mutations: [{ collection: 'assets', id: '1', op: 'put', data: { name: 'x' } }],
          };
          const by = (cent: number): Batch => ({
            atomic: true,
            mutations: [
              { collection: 'assets', id: '1', op: 'patch', increment: { n: cent / 100 }, baseVersion: 1 },
            ],
          });
          const shuffled = cents
            .map((cent, i) => [Math.imul(i + 1, turn | 1), cent] as const)
            .sort(([a], [b]) => a - b);
          const one = decideAll([create, ...cents.map(by)], 5);
          const two = decideAll([create, ...shuffled.map(([, cent]) => by(cent))], 3);
          expect(one.stored.values().next().value?.data).to.deep.equal(
            two.stored.values().next().value?.data,
          );
        },
      ),
    ));

  it('[PO5] last_write: the order of commits wins, whatever the base', () => {
    const put = (value: string, baseVersion: number): Batch => ({
      atomic: true,
      mutations: [
        {
          collection: 'latest',
          id: '1',
          op: 'put',
          data: { name: value },
          ...(baseVersion ? { baseVersion } : {}),
        },
      ],
    });
    const { stored, head } = decideAll([put('a', 0), put('b', 99), put('c', 1)], 1);
    expect(head).to.equal(3);
    expect(stored.values().next().value?.data).to.deep.equal({ name: 'c' });
  });

  it('[C1] a cursor and a page come back as they went', () =>
    holds(
      fc.property(
        fc.nat(),
        fc.nat(2 ** 31),
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 }),
        (version, mark, id) => {
          const cursor = formatCursor('0123abcd-0000', { version, mark }, 'scope_-1');
          const position = { epoch: '0123abcd', version, mark, scope: 'scope_-1' };
          expect(parseCursor(cursor)).to.deep.equal(position);
          expect(parsePage(formatPage(cursor, { collection: 'assets', id }))).to.deep.equal({
            ...position,
            collection: 'assets',
            id,
          });
        },
      ),
    ));

  it('[C6] any other text is no cursor and no page', () =>
    holds(
      fc.property(fc.string(), (text) => {
        expect(parsePage(`p.${text}`)).to.equal(undefined);
        expect(parseCursor(`${text} `)).to.equal(undefined);
      }),
    ));

  it('[PU2] the queue keeps its order, settles each item, and runs one group at a time', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.nat(700_000), { maxLength: 40 }), async (sizes) => {
        const groups: number[][] = [];
        let running = 0;
        const queue = new GroupQueue<number, number>(async (items) => {
          running += 1;
          expect(running).to.equal(1);
          groups.push(items);
          await Promise.resolve();
          running -= 1;
          return items.map((item) => (item % 7 === 3 ? new Error('refused') : item));
        });
        const settled = await Promise.allSettled(sizes.map((bytes, i) => queue.submit(i, bytes)));
        expect(groups.flat()).to.deep.equal(sizes.map((_, i) => i));
        expect(settled.every(({ status }, i) => (status === 'rejected') === (i % 7 === 3))).to.equal(true);
        const bytes = groups.map((group) => group.reduce((sum, i) => sum + (sizes[i] ?? 0), 0));
        expect(bytes.every((sum, g) => sum <= 1024 * 1024 || groups[g]?.length === 1)).to.equal(true);
        expect(queue.waiting).to.equal(0);
      }),
      { numRuns: 50 },
    ));

  it('[L6] [I4] the queue says busy when too much waits, and goes on afterwards', async () => {
    const queue = new GroupQueue<number, number>((items) => Promise.resolve(items));
    const settled = await Promise.allSettled(
      Array.from({ length: 80 }, (_, i) => queue.submit(i, 1024 * 1024)),
    );
    expect(settled.filter(({ status }) => status === 'rejected').length).to.equal(16);
    expect(await queue.submit(7, 1)).to.equal(7);
  });

  it('[CR3] the gate lets as many through as it says, also when work fails', async () => {
    const gate = createGate(3);
    let [running, most] = [0, 0];
    const work = async (i: number): Promise<void> => {
      most = Math.max(most, (running += 1));
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      if (i % 3 === 0) throw new Error('failed');
    };
    const settled = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => gate(() => work(i))));
    expect(most).to.equal(3);
    expect(settled.filter(({ status }) => status === 'rejected').length).to.equal(7);
  });
});
