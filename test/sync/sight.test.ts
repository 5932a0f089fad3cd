import { expect } from 'chai';
import fc from 'fast-check';
import type { Mutation } from '../../protocol/sync.ts';
import { createCollections } from '../../server/sync/collections.ts';
import { decideBatch } from '../../server/sync/decide.ts';
import { keyOf, WorkingSet } from '../../server/sync/working-set.ts';
import type { WorkingRecord } from '../../server/sync/working-set.ts';
import { toPrincipal, tokenFor } from '../support/sync-gateway.ts';

const collections = createCollections();
const NAMES = ['stoku', 'settings', 'fatura', 'porosia', 'assets'];
const principal = toPrincipal(tokenFor({ partitions: ['b1', 'b3:read'] }));

const recordIn = (partition: string): WorkingRecord => ({
  partition,
  version: 2,
  baseVersion: 1,
  fieldVersions: { name: 2 },
  data: { name: 'x', sku: 'x', value: 1, quantity: 1, number: '1', status: 'draft' },
  size: 80,
});

/** `mine` and `shown` may be read; `hidden` is where the principal has no right at all. */
const IN_SIGHT: [string, string][] = [
  ['mine', 'b1'],
  ['shown', 'b3'],
];
const stored = (withHidden: boolean): [string, WorkingRecord][] =>
  NAMES.flatMap((collection) =>
    [...IN_SIGHT, ...(withHidden ? [['hidden', 'b2'] as const] : [])].map(
      ([id, partition]): [string, WorkingRecord] => [keyOf({ collection, id }), recordIn(partition)],
    ),
  );

const fields = fc.constantFrom({ name: 'y' }, { status: 'placed' }, { quantity: 5 }, {});
const mutation: fc.Arbitrary<Mutation> = fc
  .record(
    {
      collection: fc.constantFrom(...NAMES, 'nothing'),
      id: fc.constantFrom('mine', 'shown', 'hidden', 'hidden', 'free'),
      op: fc.constantFrom('put' as const, 'patch' as const, 'delete' as const),
      partition: fc.constantFrom('b1', 'b2', 'b3'),
      baseVersion: fc.integer({ min: 0, max: 3 }),
      data: fields.map((some) => ({ ...recordIn('').data, ...some })),
      set: fields,
      increment: fc.constant({ quantity: -2 }),
      guard: fc.constant({ quantity: { min: 0 } }),
    },
    { requiredKeys: ['collection', 'id', 'op'] },
  )
  // the one thing that is told: that an id is taken for a record that would be made
  .filter(({ id, op, baseVersion = 0 }) => id !== 'hidden' || op !== 'put' || baseVersion > 0);

describe('sync: out of sight', () => {
  it('[V6] [S63] no batch is answered otherwise because there is a record its sender may not know of', () =>
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 6 }), fc.boolean(), (mutations, atomic) => {
        const [there, notThere] = [true, false].map((withHidden) => {
          const records = new WorkingSet(stored(withHidden));
          const context = {
            principal,
            collections,
            records,
            trusted: false,
            suspicious: false,
            texts: new Map(),
          };
          return { ...decideBatch(context, mutations, atomic), ...records.accept() };
        });
        expect(there).to.deep.equal(notThere);
      }),
      { numRuns: 3_000 },
    ));
});
