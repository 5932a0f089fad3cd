import { expect } from 'chai';
import type { Mutation, MutationResult } from '../../protocol/sync.ts';
import { tokenFor } from '../support/sync-gateway.ts';
import { applied, asset, firstResult, patch, stock, useGateway } from './setup.ts';

const outcome = ({ status, code }: MutationResult): string => code ?? status;

describe('sync: policies', () => {
  const suite = useGateway();
  const dataOf = async (id: string) =>
    (
      await suite.gateway.db.sql<{ data: Record<string, unknown> }>(
        'SELECT data FROM records WHERE id = $1',
        [id],
      )
    )[0]?.data;

  it('[PO1] append_only: a put of what is there, a patch and a delete are refused', async () => {
    const a = await suite.greeted();
    const data = { number: '1', date: '2026-11-20', kind: 'sale', total: '1.00', lines: [] };
    const put: Mutation = { collection: 'fatura', id: 'po1', op: 'put', data };
    const version = await applied(a, put);
    expect(outcome(await firstResult(a, { ...put, baseVersion: version }))).to.equal('already_exists');
    expect(outcome(await firstResult(a, patch('po1', { set: { total: '2.00' } }, 'fatura')))).to.equal(
      'invalid_mutation',
    );
    expect(outcome(await firstResult(a, { collection: 'fatura', id: 'po1', op: 'delete' }))).to.equal(
      'invalid_mutation',
    );
  });

  it('[PO2] reject_stale: put, patch and delete need the present baseVersion', async () => {
    const a = await suite.greeted();
    const setting = (value: number, baseVersion?: number): Mutation => ({
      collection: 'settings',
      id: 'po2',
      op: 'put',
      data: { value },
      ...(baseVersion === undefined ? {} : { baseVersion }),
    });
    const v1 = await applied(a, setting(1));
    const v2 = await applied(a, setting(2, v1));
    const stale: Mutation[] = [
      setting(3),
      setting(3, v1),
      patch('po2', { set: { value: 3 } }, 'settings'),
      patch('po2', { set: { value: 3 }, baseVersion: v1 }, 'settings'),
      { collection: 'settings', id: 'po2', op: 'delete' },
    ];
    for (const mutation of stale) expect(outcome(await firstResult(a, mutation))).to.equal('stale_version');
    expect(
      outcome(await firstResult(a, patch('po2', { set: { value: 3 }, baseVersion: v2 }, 'settings'))),
    ).to.equal('applied');
  });

  it('[PO3] merge: a put of a new record needs no base, of an existing one its version', async () => {
    const a = await suite.greeted();
    const version = await applied(a, asset('po3', { status: 'new' }));
    expect(outcome(await firstResult(a, asset('po3')))).to.equal('stale_version');
    expect(outcome(await firstResult(a, { ...asset('po3'), baseVersion: version }))).to.equal('applied');
    expect(await dataOf('po3')).to.deep.equal({ name: 'po3' });
    expect(outcome(await firstResult(a, { ...asset('po3-gone'), baseVersion: 5 }))).to.equal('stale_version');
  });

  it('[PO4] merge: patches of different fields merge, of the same field conflict', async () => {
    const a = await suite.greeted();
    const base = await applied(a, asset('po4', { status: 'old', branch: 'b1' }));
    const set = (fields: object) => patch('po4', { set: { ...fields }, baseVersion: base }, 'assets');
    expect(outcome(await firstResult(a, set({ status: 'one' })))).to.equal('applied');
    expect(outcome(await firstResult(a, set({ branch: 'b2' })))).to.equal('merged');
    const conflicting = await firstResult(a, set({ status: 'two', name: 'n' }));
    expect(conflicting).to.deep.include({ status: 'conflict', code: 'field_conflict' });
    expect(conflicting.conflict?.fields).to.deep.equal(['status']);
    const unset = patch('po4', { unset: ['branch'], baseVersion: base }, 'assets');
    expect(outcome(await firstResult(a, unset))).to.equal('field_conflict');
    expect(await dataOf('po4')).to.deep.equal({ name: 'po4', status: 'one', branch: 'b2' });
  });

  it('[PO4] merge: nobody has seen a version that the record does not have: what was set on it conflicts', async () => {
    const a = await suite.greeted();
    const version = await applied(a, {
      ...stock('po4-ahead'),
      data: { sku: 'x', quantity: 1, name: 'theirs' },
    });
    for (const change of [{ set: { name: 'mine' } }, { unset: ['name'] }, { set: { fresh: 1 } }]) {
      const ahead = await firstResult(a, patch('po4-ahead', { ...change, baseVersion: version + 1 }));
      expect(outcome(ahead)).to.equal('field_conflict');
      expect(ahead.conflict?.theirsVersion).to.equal(version);
    }
    const sale = patch('po4-ahead', { increment: { quantity: -1 }, baseVersion: version + 1 });
    expect(outcome(await firstResult(a, sale))).to.equal('merged');
    expect(await dataOf('po4-ahead')).to.deep.equal({ sku: 'x', quantity: 0, name: 'theirs' });
  });

  it('[PO4] merge: a put touches every field', async () => {
    const a = await suite.greeted();
    const base = await applied(a, asset('po4-put', { status: 'old' }));
    await applied(a, { ...asset('po4-put', { status: 'put' }), baseVersion: base });
    const behind = patch('po4-put', { set: { branch: 'x' }, baseVersion: base }, 'assets');
    expect(outcome(await firstResult(a, behind))).to.equal('field_conflict');
  });

  it('[PO4] merge: a field patched in the group in which the record was made is newer than the record', async () => {
    const [make, change, late] = [await suite.direct(), await suite.direct(), await suite.greeted()];
    const [made] = await Promise.all([
      make(1, [asset('po4-group')]),
      change(1, [patch('po4-group', { set: { status: 'theirs' } }, 'assets')]),
    ]);
    const baseVersion = made.ok ? (made.version ?? 0) : 0;
    const mine = patch('po4-group', { set: { status: 'mine' }, baseVersion }, 'assets');
    expect(outcome(await firstResult(late, mine))).to.equal('field_conflict');
  });

  it('[PO6] states: forward one step at a time, cancelled from any but delivered', async () => {
    const a = await suite.greeted();
    const order = (id: string, status: string): Mutation => ({
      collection: 'porosia',
      id,
      op: 'put',
      data: { number: id, status },
    });
    const step = async (id: string, status: string) =>
      outcome(await firstResult(a, patch(id, { set: { status } }, 'porosia')));
    await applied(a, order('po6', 'draft'));
    expect(await step('po6', 'confirmed')).to.equal('illegal_transition');
    for (const status of ['placed', 'confirmed', 'shipped', 'delivered'])
      expect(await step('po6', status)).to.equal('applied');
    expect(await step('po6', 'cancelled')).to.equal('illegal_transition');
    await applied(a, order('po6-b', 'shipped'));
    expect(await step('po6-b', 'cancelled')).to.equal('applied');
    expect(await step('po6-b', 'draft')).to.equal('illegal_transition');
    expect(await step('po6-b', 'elsewhere')).to.equal('illegal_transition');
  });

  it('[PO6] a refused step names both states and what is possible, to those who may read the record', async () => {
    const a = await suite.greeted();
    const data = { number: 'po6-c', status: 'placed' };
    await applied(a, { collection: 'porosia', id: 'po6-c', op: 'put', partition: 'named', data });
    const refusal = async (by: typeof a, status: string) => {
      const step = patch('po6-c', { set: { status } }, 'porosia');
      return (await firstResult(by, { ...step, partition: 'named' })).message;
    };
    expect(await refusal(a, 'delivered')).to.equal(
      'From placed there is no step to delivered: possible are confirmed, cancelled.',
    );
    expect(await refusal(a, 'i ri'))
      .to.contain('From placed')
      .and.not.contain('i ri');
    const writer = await suite.greeted({ token: tokenFor({ scopes: ['sync:write'] }) });
    expect(await refusal(writer, 'delivered')).to.equal('That step is not allowed from this state.');
  });

  it('[PO6] states: a put of an existing record takes the same steps', async () => {
    const a = await suite.greeted();
    const put = (status: string, baseVersion?: number): Mutation => ({
      collection: 'porosia',
      id: 'po6-put',
      op: 'put',
      data: { number: '1', status },
      ...(baseVersion === undefined ? {} : { baseVersion }),
    });
    const version = await applied(a, put('draft'));
    expect(outcome(await firstResult(a, put('shipped', version)))).to.equal('illegal_transition');
    expect(outcome(await firstResult(a, put('placed', version)))).to.equal('applied');
  });

  it('[PO7] increments are exact in decimal and commute', async () => {
    const writers = await Promise.all(Array.from({ length: 4 }, () => suite.direct()));
    await applied(await suite.greeted(), stock('po7', 0.1));
    const by = (quantity: number) => [patch('po7', { increment: { quantity }, baseVersion: 1 })];
    await Promise.all(writers.map((push, i) => push(1, by([0.2, -1, 0.7, 1e-7][i] ?? 0))));
    expect((await dataOf('po7'))?.['quantity']).to.equal(0.0000001);
  });

  it('[PO7] an absent field counts as 0; anything but a number is refused', async () => {
    const a = await suite.greeted();
    await applied(a, stock('po7-b'));
    await applied(a, patch('po7-b', { increment: { sold: 2 } }));
    expect((await dataOf('po7-b'))?.['sold']).to.equal(2);
    const text = await firstResult(a, patch('po7-b', { increment: { sku: 1 } }));
    expect(text).to.include({ code: 'schema_violation', path: 'sku' });
    const beyond = patch('po7-b', { set: { big: 1.7e308 }, increment: { big: 1.7e308 } });
    expect(await firstResult(a, beyond)).to.include({ code: 'schema_violation', path: 'big' });
  });

  it('[PO7] an increment that the sum cannot hold is refused rather than lost', async () => {
    const a = await suite.greeted();
    await applied(a, stock('po7-c'));
    const add = async (value: number, by: number): Promise<string> =>
      outcome(await firstResult(a, patch('po7-c', { set: { n: value }, increment: { n: by } })));
    for (const [value, by] of [
      [2 ** 53, 1],
      [-(2 ** 53), -1],
      [1e308, 5e-324],
      [1e15, 0.333],
      [1e16, 0.01],
    ] as const)
      expect(await add(value, by), `${value} + ${by}`).to.equal('schema_violation');
    // what an ERP that counts in doubles has: the 17th digit is rounded, as any sum of its own is
    for (const [value, by] of [
      [2 ** 53, 2],
      [0.1, 0.2],
      [99_999_999_999.99, 0.01],
      [10, 1 / 3],
      [100, 1.1 * 3],
    ] as const)
      expect(await add(value, by), `${value} + ${by}`).to.equal('applied');
  });

  it('[PO8] a delete needs a base only where one is given or stale writes are refused', async () => {
    const a = await suite.greeted();
    const remove = (id: string, baseVersion?: number): Mutation => ({
      collection: 'assets',
      id,
      op: 'delete',
      ...(baseVersion === undefined ? {} : { baseVersion }),
    });
    const version = await applied(a, asset('po8'));
    expect(outcome(await firstResult(a, remove('po8', version - 1)))).to.equal('stale_version');
    expect(outcome(await firstResult(a, remove('po8', version)))).to.equal('applied');
    await applied(a, asset('po8'));
    expect(outcome(await firstResult(a, remove('po8')))).to.equal('applied');
  });
});
