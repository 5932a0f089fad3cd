import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Mutation, PushAck } from '../../protocol/sync.ts';
import { toSubmission } from '../../server/sync/submission.ts';
import { tokenFor, toPrincipal, until } from '../support/sync-gateway.ts';
import { applied, asset, patch, refusalOf, resultsOf, stock, useGateway, verdictOf } from './setup.ts';

const rowOf = async (sql: (text: string, values: unknown[]) => Promise<unknown[]>, id: string) =>
  (await sql('SELECT version, data, partition FROM records WHERE id = $1', [id]))[0] as
    { version: number; data: Record<string, unknown>; partition: string } | undefined;

const bare = (op: Mutation['op']): Mutation => ({ collection: 'stoku', id: 'like', op, partition: 'b1' });

describe('sync: push', () => {
  const suite = useGateway();

  it('[PU1] acknowledges a batch once it is committed, with its version', async () => {
    const a = await suite.greeted();
    const verdict = verdictOf(await a.push([stock('p1')]));
    expect(verdict).to.include({ ok: true, seq: 1 });
    expect((await rowOf(suite.gateway.db.sql, 'p1'))?.version).to.equal(verdict.version);
    expect(verdict.results).to.deep.equal([{ status: 'applied', version: verdict.version }]);
  });

  it('[PU2] answers a repeated batch with the stored result', async () => {
    const a = await suite.greeted();
    const batchId = randomUUID();
    const first = await a.push([stock('twice')], { seq: 1, batchId });
    const again = await a.push([stock('twice')], { seq: 1, batchId });
    expect(again).to.deep.equal({ ...first, replay: true });
  });

  it('[PU2] answers a batch sent twice at once with one effect', async () => {
    const a = await suite.greeted();
    await a.push([stock('at-once', 0)]);
    const batchId = randomUUID();
    const send = () => a.push([patch('at-once', { increment: { quantity: 1 } })], { seq: 2, batchId });
    const acks = await Promise.all([send(), send(), send()]);
    expect(acks.map((ack) => ack.ok && ack.replay === true)).to.deep.equal([false, true, true]);
    expect((await rowOf(suite.gateway.db.sql, 'at-once'))?.data['quantity']).to.equal(1);
  });

  it('[PU2] replays a refused batch as it was refused, whatever has changed since', async () => {
    const a = await suite.greeted();
    const batchId = randomUUID();
    const first = await a.push([patch('later', { set: { name: 'x' } })], { seq: 1, batchId });
    await a.push([stock('later')], { seq: 2 });
    const again = await a.push([patch('later', { set: { name: 'x' } })], { seq: 1, batchId });
    expect(again).to.deep.equal({ ...first, replay: true });
    expect(verdictOf(again).results[0]?.code).to.equal('not_found');
  });

  it('[PU3] refuses a seq beyond the next one and says which it expects', async () => {
    const a = await suite.greeted();
    expect(refusalOf(await a.push([stock('gap')], { seq: 3 }))).to.include({
      code: 'seq_gap',
      expectedSeq: 1,
      retry: 'never',
    });
    expect(verdictOf(await a.push([stock('gap')], { seq: 1 })).ok).to.equal(true);
  });

  it('[PU4] refuses a used seq with other content', async () => {
    const a = await suite.greeted();
    await a.push([stock('reuse', 1)], { seq: 1 });
    expect(refusalOf(await a.push([stock('reuse', 2)], { seq: 1 })).code).to.equal('seq_reuse');
    expect((await rowOf(suite.gateway.db.sql, 'reuse'))?.data['quantity']).to.equal(1);
  });

  it('[PU4] refuses a used batchId with other content, whatever its seq', async () => {
    const a = await suite.greeted();
    const batchId = randomUUID();
    await a.push([stock('batch-id', 1)], { seq: 1, batchId });
    expect(refusalOf(await a.push([stock('batch-id', 2)], { seq: 2, batchId })).code).to.equal('seq_reuse');
    expect(verdictOf(await a.push([stock('batch-id-2')], { seq: 2 })).version).to.be.a('number');
  });

  const looksLike: [string, Mutation, Mutation][] = [
    ['a put', stock('like', 1, { data: { set: { a: 1 } } }), { ...bare('put'), set: { a: 1 } }],
    [
      'a patch',
      { ...bare('patch'), data: { increment: { quantity: -1 } } },
      { ...bare('patch'), increment: { quantity: -1 } },
    ],
    ['a delete', { ...bare('delete'), data: { set: {} } }, { ...bare('delete'), set: {} }],
  ];
  for (const [what, one, other] of looksLike)
    it(`[PU4] data that looks like the parts of a patch is other content: ${what}`, async () => {
      const a = await suite.greeted();
      const batchId = randomUUID();
      verdictOf(await a.push([one], { seq: 1, batchId }));
      expect(refusalOf(await a.push([other], { seq: 1, batchId })).code).to.equal('seq_reuse');
    });

  it('[PU2] [PU4] a batch keeps its hash from release to release: one that landed before is still recognised', () => {
    const origin = { principal: toPrincipal(tokenFor()), clientId: 'c', incarnation: 'i' };
    const mutations: Mutation[] = [
      stock('1', 1, { data: { sku: 'x', quantity: 1, set: { a: 1 } } }),
      {
        ...bare('patch'),
        baseVersion: 3,
        set: { name: 'y' },
        unset: ['z'],
        increment: { quantity: -1 },
        guard: { quantity: { min: 0 } },
      },
      { ...bare('patch'), increment: { quantity: 1 } },
      { ...bare('delete'), baseVersion: 4 },
    ];
    const batch = { seq: 1, batchId: '0b000000-0000-4000-8000-000000000000', mutations };
    expect(toSubmission(origin, batch).hash).to.equal(
      '023a2f7d925ce1df425a582bab6ca188efd7643a39b7455d8e0bd7eb8fc071d5',
    );
  });

  it('[PU4] the same batch under a new seq is a replay that uses the seq up: salvage has one effect', async () => {
    const a = await suite.greeted();
    const batchId = randomUUID();
    const first = verdictOf(await a.push([stock('salvage', 1)], { seq: 1, batchId }));
    const again = verdictOf(await a.push([stock('salvage', 1)], { seq: 2, batchId }));
    expect(again).to.deep.equal({ ...first, seq: 2, replay: true });
    expect(verdictOf(await a.push([stock('salvage-2')], { seq: 3 })).version).to.equal(
      (first.version ?? 0) + 1,
    );
  });

  it('[PU4] a salvaged batch keeps its one effect under a new incarnation, alone and among new ones', async () => {
    const [a, b] = [await suite.greeted(), await suite.greeted()];
    const batchId = randomUUID();
    await a.push([stock('renewed', 1)], { seq: 1, batchId });
    const acks = await Promise.all([
      b.push([stock('renewed-2')]),
      b.push([stock('renewed', 1)], { batchId }),
      b.push([stock('renewed-3')]),
    ]);
    expect(acks.map((ack) => verdictOf(ack).replay ?? false)).to.deep.equal([false, true, false]);
    expect((await rowOf(suite.gateway.db.sql, 'renewed'))?.data['quantity']).to.equal(1);
  });

  it('[PU4] lets the neighbours of a reused batchId through, wherever it stands in the group', async () => {
    const [a, b, culprit] = [await suite.greeted(), await suite.greeted(), await suite.greeted()];
    const batchId = randomUUID();
    await culprit.push([stock('hostage-0')], { seq: 1, batchId });
    const acks = await Promise.all(
      Array.from({ length: 12 }, (_, i): Promise<PushAck> => {
        if (i % 4 === 2) return culprit.push([stock(`culprit-${i}`)], { seq: 2, batchId });
        return (i % 2 === 0 ? a : b).push([stock(`hostage-${i + 1}`)]);
      }),
    );
    const codes = acks.map((ack) => (ack.ok ? 'ok' : ack.error.code));
    expect(codes.filter((code) => code === 'seq_reuse')).to.have.length(3);
    expect(codes.filter((code) => code === 'ok')).to.have.length(9);
  });

  it('[PU4] two batches of one group with the same batchId: the first goes through, its neighbours too', async () => {
    const [a, b, c] = [await suite.direct(), await suite.direct(), await suite.direct()];
    const batchId = randomUUID();
    const acks = await Promise.all([
      a(1, [stock('double-1')], batchId),
      b(1, [stock('double-2')], batchId),
      b(1, [stock('double-3')]),
      c(1, [stock('double-4')]),
    ]);
    expect(acks.map((ack) => (ack.ok ? 'ok' : ack.error.code))).to.deep.equal([
      'ok',
      'seq_reuse',
      'ok',
      'ok',
    ]);
  });

  it('[PU5] an atomic batch with a refusal changes nothing', async () => {
    const a = await suite.greeted();
    const verdict = verdictOf(await a.push([stock('atomic'), patch('missing', { set: { name: 'x' } })]));
    expect(verdict.version).to.equal(null);
    expect(verdict.results.map(({ status, code }) => [status, code])).to.deep.equal([
      ['rejected', 'batch_refused'],
      ['rejected', 'not_found'],
    ]);
    expect(await rowOf(suite.gateway.db.sql, 'atomic')).to.equal(undefined);
  });

  it('[PU6] atomic: false judges each mutation alone', async () => {
    const a = await suite.greeted();
    const results = await resultsOf(a, [stock('alone'), patch('missing', { set: { name: 'x' } })], {
      atomic: false,
    });
    expect(results.map(({ status }) => status)).to.deep.equal(['applied', 'rejected']);
    expect(await rowOf(suite.gateway.db.sql, 'alone')).to.not.equal(undefined);
  });

  it('[PU7] a refused batch uses up its seq and does not block the next', async () => {
    const a = await suite.greeted();
    await a.push([patch('missing', { set: { name: 'x' } })], { seq: 1 });
    expect(verdictOf(await a.push([stock('after-refusal')], { seq: 2 })).version).to.be.a('number');
    const reply = await (
      await suite.client({ clientId: a.clientId, incarnation: a.incarnation })
    )
      .hello()
      .catch((error: unknown) => error as { code: string });
    expect(reply).to.include({ code: 'client_mismatch' });
  });

  it('[PU8] a batch takes one version, and none when it changes nothing', async () => {
    const a = await suite.greeted();
    const before = await applied(a, stock('v1'));
    const nothing = await a.push([stock('v2'), { collection: 'stoku', id: 'v2', op: 'delete' }]);
    expect(verdictOf(nothing).version).to.equal(null);
    expect(verdictOf(await a.push([stock('v3'), stock('v4'), stock('v5')])).version).to.equal(before + 1);
  });

  it('[PU9] several mutations of one record in a batch are one change', async () => {
    const [a, b] = [await suite.greeted(), await suite.client()];
    await b.hello({ subscribe: [{ collection: 'stoku', partitions: ['one-change'] }] });
    await until('snapshot', () => b.cursor !== null);
    const partition = 'one-change';
    await a.push([stock('one', 1, { partition }), patch('one', { increment: { quantity: 2 } })]);
    await until('delta', () => b.records.has('stoku/one'));
    expect(b.applied).to.have.length(1);
    expect(b.records.get('stoku/one')?.data).to.deep.equal({ sku: 'one', quantity: 3 });
  });

  it('[PU9] the batch’s own earlier mutations never make a later one stale', async () => {
    const a = await suite.greeted();
    const twice = verdictOf(await a.push([stock('own', 1), stock('own', 2)]));
    expect(twice.results.map(({ status }) => status)).to.deep.equal(['applied', 'applied']);
    const baseVersion = twice.version ?? 0;
    const again = verdictOf(
      await a.push([
        stock('own', 3, { baseVersion }),
        patch('own', { baseVersion, set: { name: 'n' } }),
        stock('own', 4, { baseVersion }),
        { collection: 'stoku', id: 'own', op: 'delete', baseVersion },
        stock('own', 5),
      ]),
    );
    expect(again.results.map(({ code }) => code)).to.deep.equal(Array(5).fill(undefined));
    expect((await rowOf(suite.gateway.db.sql, 'own'))?.data['quantity']).to.equal(5);
  });

  it('[PU9] a stale base is stale however often the batch names the record', async () => {
    const a = await suite.greeted();
    await applied(a, stock('stale-own', 1));
    const results = await resultsOf(a, [
      patch('stale-own', { increment: { quantity: 1 } }),
      stock('stale-own', 9),
    ]);
    expect(results.map(({ code }) => code)).to.deep.equal(['batch_refused', 'stale_version']);
  });

  it('[PU10] a mutation sees the ones before it: put, then delete, then put', async () => {
    const a = await suite.greeted();
    const id = 'put-delete';
    const results = await resultsOf(a, [
      stock(id, 1),
      { collection: 'stoku', id, op: 'delete' },
      stock(id, 2),
    ]);
    expect(results.every(({ status }) => status === 'applied')).to.equal(true);
    expect((await rowOf(suite.gateway.db.sql, id))?.data['quantity']).to.equal(2);
  });

  it('[PU11] without a partition: the writer’s only one, else `default`, else where the record is', async () => {
    const one = await suite.greeted({ token: tokenFor({ partitions: ['b7', 'b8:read'] }) });
    const all = await suite.greeted();
    await one.push([{ collection: 'assets', id: 'in-b7', op: 'put', data: { name: 'x' } }]);
    await all.push([{ collection: 'assets', id: 'in-default', op: 'put', data: { name: 'x' } }]);
    await all.push([patch('in-b7', { set: { name: 'y' } }, 'assets')]);
    expect((await rowOf(suite.gateway.db.sql, 'in-b7'))?.partition).to.equal('b7');
    expect((await rowOf(suite.gateway.db.sql, 'in-default'))?.partition).to.equal('default');
  });

  it('[PU12] takes `dependsOn` without judging it', async () => {
    const a = await suite.greeted();
    const body = { seq: 1, batchId: randomUUID(), dependsOn: [randomUUID()], mutations: [asset('depends')] };
    expect(verdictOf(await a.request<PushAck>('sync:push', body)).version).to.be.a('number');
  });

  it('[PU13] two writers of one record in one group: one is applied, the other conflicts, neither is `busy`', async () => {
    const writers = await Promise.all(Array.from({ length: 8 }, () => suite.direct()));
    const baseVersion = await applied(await suite.greeted(), asset('race'));
    const acks = await Promise.all(
      writers.map((push, i) => push(1, [{ ...asset('race', { status: `s${i}` }), baseVersion }])),
    );
    const codes = acks.map((ack) => (ack.ok ? (ack.results[0]?.code ?? 'applied') : ack.error.code)).sort();
    expect(codes).to.deep.equal(['applied', ...Array<string>(7).fill('stale_version')]);
    const conflicts = acks.flatMap((ack) => (ack.ok ? (ack.results[0]?.conflict ?? []) : []));
    expect(new Set(conflicts.map(({ theirsVersion }) => theirsVersion))).to.deep.equal(
      new Set([(await rowOf(suite.gateway.db.sql, 'race'))?.version]),
    );
  });

  it('[PU14] a batch whose outcome is unknown may be sent again on another connection', async () => {
    const token = tokenFor();
    const a = await suite.greeted({ token });
    await a.push([stock('unknown', 1)]);
    const batchId = randomUUID();
    const more = [patch('unknown', { increment: { quantity: 1 } })];
    a.socket.emit('sync:push', { seq: 2, batchId, mutations: more });
    await until('it', async () => (await rowOf(suite.gateway.db.sql, 'unknown'))?.data['quantity'] === 2);
    a.close();
    const again = await suite.greeted({ token, clientId: a.clientId, incarnation: a.incarnation });
    expect(again.nextSeq).to.equal(3);
    expect(verdictOf(await again.push(more, { seq: 2, batchId })).replay).to.equal(true);
    expect((await rowOf(suite.gateway.db.sql, 'unknown'))?.data['quantity']).to.equal(2);
  });
});
