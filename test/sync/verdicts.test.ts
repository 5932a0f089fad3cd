import { expect } from 'chai';
import type { Mutation, MutationResult, RecordData } from '../../protocol/sync.ts';
import { tokenFor } from '../support/sync-gateway.ts';
import { applied, asset, firstResult, patch, resultsOf, stock, useGateway, verdictOf } from './setup.ts';

/** JSON as a foreign client may write it: `__proto__` is an ordinary key of the text. */
const parsed = (json: string): RecordData => JSON.parse(json) as RecordData;

const invoice = (id: string, data: RecordData = {}): Mutation => ({
  collection: 'fatura',
  id,
  op: 'put',
  data: { number: id, date: '2026-11-20', kind: 'sale', total: '12.50', lines: [], ...data },
});

const outcomeOf = ({ status, code }: MutationResult): string => code ?? status;

describe('sync: verdicts', () => {
  const suite = useGateway();

  it('[V1] the results stand in the order of the mutations, the applied ones with the version', async () => {
    const a = await suite.greeted();
    const verdict = verdictOf(
      await a.push([stock('v1'), patch('nobody', { unset: ['name'] }), asset('v1')], { atomic: false }),
    );
    expect(verdict.results.map(({ status, version, code }) => [status, version, code])).to.deep.equal([
      ['applied', verdict.version, undefined],
      ['rejected', undefined, 'not_found'],
      ['applied', verdict.version, undefined],
    ]);
  });

  const malformed: [string, Partial<Mutation>][] = [
    ['a put without data', { op: 'put' }],
    ['a put with set', { op: 'put', data: { sku: 'x', quantity: 1 }, set: { quantity: 2 } }],
    ['a patch with data', { op: 'patch', data: { sku: 'x', quantity: 1 } }],
  ];
  for (const [what, mutation] of malformed) {
    it(`[V2] invalid_mutation: ${what}`, async () => {
      const a = await suite.greeted();
      const result = await firstResult(a, { collection: 'stoku', id: 'bad', op: 'put', ...mutation });
      expect(result).to.include({ status: 'rejected', code: 'invalid_mutation' });
    });
  }

  it('[V3] unknown_collection: a name that fits but is none, also those of an object’s prototype', async () => {
    const a = await suite.greeted();
    for (const collection of ['nothing', 'constructor', 'a'.repeat(63)]) {
      const result = await firstResult(a, { collection, id: '1', op: 'put', data: {} });
      expect(result).to.include({ status: 'rejected', code: 'unknown_collection', path: collection });
    }
  });

  const unfit: [string, Mutation, string][] = [
    ['a missing field', { ...stock('x'), data: { sku: 'x' } }, 'quantity'],
    ['a wrong type', { ...stock('x'), data: { sku: 'x', quantity: '1' } }, 'quantity'],
    [
      'a nested field',
      invoice('x', { lines: [{ sku: 'a', quantity: 1, unitPrice: 5 }] }),
      'lines.0.unitPrice',
    ],
    ['money that is no decimal', invoice('x', { total: '1e3' }), 'total'],
    ['a date of another form', invoice('x', { date: '20.11.2026' }), 'date'],
    ['a month that is none', invoice('x', { date: '2026-20-11' }), 'date'],
  ];
  for (const [what, mutation, path] of unfit) {
    it(`[V4] schema_violation with the path: ${what}`, async () => {
      const a = await suite.greeted();
      expect(await firstResult(a, mutation)).to.include({ code: 'schema_violation', path });
    });
  }

  it('[V4] says what is allowed there: the values, the form', async () => {
    const a = await suite.greeted();
    const messageOf = async (data: RecordData) => (await firstResult(a, invoice('x', data))).message;
    expect(await messageOf({ kind: 'shitje' })).to.equal('must be one of sale, credit');
    expect(await messageOf({ date: '20.11.2026' })).to.contain('2026-11-20');
    expect(await messageOf({ total: 12.5 })).to.contain('"12.50"');
    expect(await messageOf({ number: '' })).to.equal('must not be empty');
    for (const date of [
      '2026-11-20',
      '2026-11-20 08:26',
      '2026-11-20T08:26:00.000Z',
      '2026-11-20T08:26:00+01:00',
    ])
      expect(outcomeOf(await firstResult(a, invoice(date, { date }))), date).to.equal('applied');
  });

  const unstorable: [string, Mutation][] = [
    ['NUL in a value', stock('u', 1, { data: { sku: 'u', quantity: 1, name: 'a\u0000b' } })],
    ['NUL in a name', stock('u', 1, { data: { sku: 'u', quantity: 1, 'a\u0000': 1 } })],
    ['half a surrogate pair', stock('u', 1, { data: { sku: 'u', quantity: 1, name: '\ud800' } })],
    ['half a pair, deep', stock('u', 1, { data: { sku: 'u', quantity: 1, x: [{ y: '\udfff' }] } })],
    ['NUL in unset', patch('there', { unset: ['\u0000'] })],
    ['NUL in a guard', patch('there', { guard: { '\u0000': { min: 0 } } })],
    ['NUL in increment', patch('there', { increment: { '\u0000': 1 } })],
    ['NUL in the data of a stale put', stock('there', 1, { data: { sku: '\u0000', quantity: 1 } })],
    [
      '__proto__ deep',
      stock('u', 1, { data: parsed('{"sku":"u","quantity":1,"deep":{"__proto__":{"admin":true}}}') }),
    ],
  ];
  for (const [what, mutation] of unstorable) {
    it(`[V4] schema_violation: ${what}; the neighbours of its group go through`, async () => {
      const a = await suite.greeted();
      await a.push([stock('there')]);
      const [[result], neighbour] = await Promise.all([
        resultsOf(a, [mutation]),
        suite.greeted().then((b) => b.push([asset('beside')])),
      ]);
      expect(result).to.include({ status: 'rejected', code: 'schema_violation' });
      expect(neighbour.ok).to.equal(true);
    });
  }

  it('[V4] text that only looks like an escape is kept as it is', async () => {
    const a = await suite.greeted();
    const name = '\\u0000 \\ud800 "__proto__": 😀';
    await applied(a, stock('looks', 1, { data: { sku: 'looks', quantity: 1, name } }));
    const [row] = await suite.gateway.db.sql<{ data: RecordData }>(
      `SELECT data FROM records WHERE id = 'looks'`,
    );
    expect(row?.data['name']).to.equal(name);
  });

  const polluting: [string, Partial<Mutation>][] = [
    ['data', { op: 'put', data: parsed('{"sku":"p","quantity":1,"__proto__":{"polluted":true}}') }],
    ['data that says nothing else', { op: 'put', data: parsed('{"__proto__":null}') }],
    ['set', { set: parsed('{"__proto__":{"polluted":true}}') }],
    ['set, beside another field', { set: parsed('{"name":"x","__proto__":1}') }],
    ['increment', { increment: parsed('{"quantity":1,"__proto__":1}') as Record<string, number> }],
    ['guard', { set: { name: 'x' }, guard: parsed('{"__proto__":{"min":0}}') as Mutation['guard'] }],
    ['a bound', { set: { name: 'x' }, guard: parsed('{"quantity":{"__proto__":0}}') as Mutation['guard'] }],
  ];
  for (const [what, mutation] of polluting) {
    it(`[V4] [S65] \`__proto__\` at the top of ${what}: schema_violation, never left out in silence`, async () => {
      const a = await suite.greeted();
      await a.push([stock('proto')]);
      const { version } = verdictOf(await a.push([stock(`beside ${what}`)]));
      const result = await firstResult(a, { collection: 'stoku', id: 'proto', op: 'patch', ...mutation });
      expect(result).to.include({ status: 'rejected', code: 'schema_violation', path: '__proto__' });
      expect(({} as RecordData)['polluted']).to.equal(undefined);
      expect(verdictOf(await a.push([stock(`after ${what}`)])).version).to.equal((version ?? 0) + 1);
    });
  }

  it('[V5] forbidden: a collection the principal may not write, and the gateway’s own', async () => {
    const a = await suite.greeted({ token: tokenFor({ scopes: ['records:assets:write'] }) });
    const own = await suite.greeted();
    expect(await firstResult(a, stock('no'))).to.include({ code: 'forbidden' });
    expect(await firstResult(a, asset('yes'))).to.include({ status: 'applied' });
    const message = { collection: 'messages', id: '1', op: 'put', data: { body: 'x', from: {} } } as const;
    expect(await firstResult(own, message)).to.include({ code: 'forbidden' });
  });

  it('[V6] forbidden_partition: into, out of and inside a partition without the right to write', async () => {
    const all = await suite.greeted();
    const a = await suite.greeted({ token: tokenFor({ partitions: ['b1', 'b2:read'] }) });
    await applied(all, stock('in-b2', 1, { partition: 'b2' }));
    await applied(all, stock('in-b1', 1, { partition: 'b1' }));
    const results = await resultsOf(
      a,
      [
        stock('new-in-b2', 1, { partition: 'b2' }),
        patch('in-b2', { set: { name: 'x' } }),
        patch('in-b2', { partition: 'b1' }),
        patch('in-b1', { partition: 'b2' }),
        { collection: 'stoku', id: 'in-b2', op: 'delete' },
      ],
      { atomic: false },
    );
    expect(results.map(({ code }) => code)).to.deep.equal(Array(5).fill('forbidden_partition'));
  });

  /** Everything that can be said of a record by its id, but for the put that makes a new one. */
  const probes = (id: string): Mutation[] =>
    ['stoku', 'settings', 'fatura', 'porosia', 'assets'].flatMap((collection): Mutation[] => [
      { collection, id, op: 'patch', set: { name: 'x' } },
      { collection, id, op: 'patch', set: { name: 'x' }, baseVersion: 1 },
      { collection, id, op: 'patch', partition: 'b1' },
      { collection, id, op: 'patch', partition: 'b2' },
      {
        collection,
        id,
        op: 'patch',
        partition: 'b1',
        increment: { quantity: 1 },
        guard: { quantity: { min: 0 } },
      },
      { collection, id, op: 'patch' },
      { collection, id, op: 'delete' },
      { collection, id, op: 'delete', baseVersion: 1 },
      { collection, id, op: 'put', data: {} },
      { collection, id, op: 'put', data: {}, partition: 'b2' },
      { collection, id, op: 'put', data: { name: 'x', quantity: 1 }, baseVersion: 1 },
      { collection, id, op: 'put' },
    ]);
  const hidden: Mutation[] = [
    stock('hidden', 1, { partition: 'b2' }),
    { collection: 'settings', id: 'hidden', op: 'put', partition: 'b2', data: { value: 1 } },
    { ...invoice('hidden'), partition: 'b2' },
    {
      collection: 'porosia',
      id: 'hidden',
      op: 'put',
      partition: 'b2',
      data: { number: '1', status: 'draft' },
    },
    { ...asset('hidden'), partition: 'b2' },
  ];

  it('[V6] [V9] [S63] a record that one may neither read nor write is judged as if it were not there', async () => {
    const all = await suite.greeted();
    verdictOf(await all.push(hidden));
    const a = await suite.greeted({ token: tokenFor({ partitions: ['b1'] }) });
    for (const [index, probe] of probes('hidden').entries()) {
      const told = await resultsOf(a, [probe]);
      expect(told, JSON.stringify(probe)).to.deep.equal(
        await resultsOf(a, probes('absent').slice(index, index + 1)),
      );
      expect(told[0]?.status).not.to.equal('applied');
    }
    expect(await resultsOf(a, probes('hidden'), { atomic: false })).to.deep.equal(
      await resultsOf(a, probes('absent'), { atomic: false }),
    );
  });

  it('[V6] its id is taken all the same: a put that would make it is refused, and changes nothing', async () => {
    const all = await suite.greeted();
    const a = await suite.greeted({ token: tokenFor({ partitions: ['b1'] }) });
    await applied(all, stock('taken', 7, { partition: 'b2' }));
    expect(await firstResult(a, stock('taken', 1))).to.include({
      status: 'rejected',
      code: 'forbidden_partition',
    });
    expect(await firstResult(a, invoice('free', { total: '1.00' }))).to.include({ status: 'applied' });
    const [row] = await suite.gateway.db.sql<{ partition: string; data: RecordData }>(
      `SELECT partition, data FROM records WHERE id = 'taken'`,
    );
    expect(row).to.deep.equal({ partition: 'b2', data: { sku: 'taken', quantity: 7 } });
  });

  it('[V7] a conflict shows yours, theirs and their version', async () => {
    const a = await suite.greeted();
    const theirsVersion = await applied(a, asset('conflict', { status: 'theirs' }));
    const result = await firstResult(a, {
      ...asset('conflict', { status: 'mine' }),
      baseVersion: theirsVersion + 7,
    });
    expect(result).to.deep.include({ status: 'conflict', code: 'stale_version' });
    expect(result.conflict).to.deep.equal({
      yours: { name: 'conflict', status: 'mine' },
      theirs: { name: 'conflict', status: 'theirs' },
      theirsVersion,
    });
  });

  it('[V7] a conflict shows nothing to a writer who may not read', async () => {
    const a = await suite.greeted();
    const blind = await suite.greeted({ token: tokenFor({ scopes: ['sync:write'] }) });
    await applied(a, asset('secret', { status: 'secret' }));
    const { conflict } = await firstResult(blind, { ...asset('secret'), baseVersion: 1 });
    expect(conflict?.theirs).to.equal(null);
  });

  it('[V8] guard_failed: the bound must hold afterwards; nothing is changed', async () => {
    const a = await suite.greeted();
    const guard = { quantity: { min: 0, max: 20 } };
    await applied(a, stock('guarded', 10));
    const codes = [];
    for (const by of [-11, 11, -10]) {
      const result = await firstResult(a, patch('guarded', { increment: { quantity: by }, guard }));
      codes.push(result.code ?? result.status);
    }
    const missing = await firstResult(
      a,
      patch('guarded', { set: { name: 'x' }, guard: { nothing: { min: 0 } } }),
    );
    expect(codes).to.deep.equal(['guard_failed', 'guard_failed', 'applied']);
    expect(missing).to.include({ code: 'guard_failed', path: 'nothing' });
  });

  it('[V9] not_found: a patch or delete of what is not there', async () => {
    const a = await suite.greeted();
    expect(await firstResult(a, patch('nobody', { set: { name: 'x' } }))).to.include({ code: 'not_found' });
    const gone = await firstResult(a, { collection: 'stoku', id: 'nobody', op: 'delete' });
    expect(gone).to.include({ status: 'rejected', code: 'not_found' });
  });

  it('[V10] payload_too_large: a patch that makes a record grow over 256 KiB', async () => {
    const a = await suite.greeted();
    const half = 'x'.repeat(140 * 1024);
    await applied(a, asset('grows', { one: half }));
    const result = await firstResult(a, patch('grows', { set: { two: half } }, 'assets'));
    expect(result).to.include({ status: 'rejected', code: 'payload_too_large' });
  });
});
