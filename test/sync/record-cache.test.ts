import { expect } from 'chai';
import { RecordCache } from '../../server/sync/record-cache.ts';
import type { ChangeRow } from '../../server/sync/rows.ts';
import { keyOf } from '../../server/sync/working-set.ts';

const MIB = 1024 * 1024;

const find = (cache: RecordCache, id: string) => cache.find(keyOf({ collection: 'stoku', id }));

/** A row of the log as the cache looks at it. */
function row(id: string, chars: number, fate: ChangeRow['fate'] = 'put'): ChangeRow {
  const after = { partition: 'b1', version: 1, baseVersion: 1, fieldVersions: {}, data: {}, size: 2 };
  const change = { collection: 'stoku', id, before: null, after: fate === 'gone' ? null : after };
  const origin = { ord: 1, idx: 0, mark: 1, submission: {} as ChangeRow['submission'], expected: null };
  return { ...origin, change, fate, json: 'x'.repeat(chars) };
}

describe('sync: what a writer remembers of records', () => {
  it('[F33] a record overwritten again and again counts once, and puts no other one out', () => {
    const cache = new RecordCache();
    cache.take([row('rare', 100)], 0);
    for (let i = 0; i < 200; i += 1) cache.take([row('hot', MIB)], i);
    expect(find(cache, 'rare')).to.not.equal(undefined);
    expect(find(cache, 'hot')).to.not.equal(undefined);
  });

  it('[F33] a record that is deleted makes room again', () => {
    const cache = new RecordCache();
    cache.take([row('rare', 100)], 0);
    for (let i = 0; i < 200; i += 1) {
      cache.take([row(`short-${i}`, MIB)], i);
      cache.take([row(`short-${i}`, MIB, 'gone')], i);
    }
    expect(find(cache, 'rare')).to.not.equal(undefined);
    expect(find(cache, 'short-0')).to.equal(undefined);
  });

  it('[F33] it stays within its bound: what was not written for long is forgotten', () => {
    const cache = new RecordCache();
    for (let i = 0; i < 64; i += 1) cache.take([row(`r-${i}`, MIB)], i);
    const kept = Array.from({ length: 64 }, (_, i) => find(cache, `r-${i}`)).filter(Boolean);
    expect(kept.length).to.be.within(1, 16);
    expect(find(cache, 'r-63')).to.not.equal(undefined);
  });
});
