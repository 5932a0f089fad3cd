import { expect } from 'chai';
import { createMemoryStore } from '../../sdk/index.ts';
import type { FakeGateway } from './fake-gateway.ts';
import { refuse, startFakeGateway } from './fake-gateway.ts';
import { closeClients, put, startClient, tokensOf, until } from './support.ts';

let gateway: FakeGateway;
const seqs = (): number[] => gateway.pushes.map((push) => push.seq);

describe('sdk uploads', () => {
  beforeEach(async () => {
    gateway = await startFakeGateway();
  });
  afterEach(async () => {
    await closeClients();
    await gateway.close();
  });

  it('[P1] push resolves when the batch is in the outbox; settled when the gateway has judged it', async () => {
    const { client, of } = await startClient(gateway);
    const pushed = await client.push([put('a')]);
    expect(pushed.seq).to.equal(1);
    const verdict = await pushed.settled;
    expect(verdict).to.deep.include({ ok: true, seq: 1, version: 1 });
    expect(of('verdict')).to.have.lengthOf(1);
    expect(await client.stats()).to.include({ queue: 0, applied: 1 });
  });

  it('[P2] works offline, and sends everything in seq order once there is a connection', async () => {
    const store = createMemoryStore();
    await store.open();
    for (let i = 0; i < 40; i += 1) await store.enqueue({ mutations: [put(`r${i}`)] });
    const { client } = await startClient(gateway, { store });
    await client.drained();
    expect(seqs()).to.deep.equal(Array.from({ length: 40 }, (_, i) => i + 1));
    expect(gateway.head).to.equal(40);
  });

  it('[P6] keeps at most the window in flight', async () => {
    gateway.faults.push = () => 'silent';
    const { client } = await startClient(gateway, { window: { batches: 4 }, timeoutMs: 5_000 });
    await Promise.all(Array.from({ length: 10 }, (_, i) => client.push([put(`r${i}`)])));
    await until(() => gateway.pushes.length === 4);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(gateway.pushes).to.have.lengthOf(4);
    expect((await client.stats()).inFlight).to.equal(4);
  });

  it('[P6] counts bytes in flight too, but sends a batch that is larger than the window alone', async () => {
    gateway.faults.push = () => 'silent';
    const { client } = await startClient(gateway, { window: { bytes: 3_000 }, timeoutMs: 5_000 });
    for (let i = 0; i < 4; i += 1) await client.push([put(`r${i}`, { text: 'x'.repeat(2_000) })]);
    await until(() => gateway.pushes.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(gateway.pushes).to.have.lengthOf(1);
  });

  it('[P2][F2] cut between commit and ack: sent again, the stored verdict comes back, applied once', async () => {
    let cuts = 0;
    gateway.faults.cutAfterCommit = (body) => body.seq % 3 === 0 && cuts++ < 5;
    const { client, of } = await startClient(gateway);
    for (let i = 0; i < 12; i += 1) await client.push([put(`r${i}`)]);
    await client.drained();
    expect(gateway.head).to.equal(12);
    expect(of('verdict').map((verdict) => verdict.verdict?.version)).to.have.members(range(1, 12));
    expect(of('verdict').some((verdict) => verdict.verdict?.replay)).to.equal(true);
    expect(of('verdict')).to.have.lengthOf(12);
  });

  it('[P2] no answer in time: connects again and asks again', async () => {
    let silent = 1;
    gateway.faults.push = () => (silent-- > 0 ? 'silent' : undefined);
    const { client } = await startClient(gateway, { timeoutMs: 100 });
    await (
      await client.push([put('a')])
    ).settled;
    expect(gateway.hellos).to.have.lengthOf(2);
    expect(seqs()).to.deep.equal([1, 1]);
  });

  it('[P5] a business refusal is a verdict: it goes to the inbox and the queue goes on', async () => {
    const { client, of } = await startClient(gateway);
    const bad = await client.push([put('a'), put('b', { refuse: 'guard_failed' })]);
    const conflict = await client.push([put('c', { refuse: 'field_conflict' })]);
    const good = await client.push([put('d')]);
    await Promise.all([bad.settled, conflict.settled, good.settled]);
    expect(of('verdict').map((one) => one.outcome)).to.deep.equal(['rejected', 'conflict', 'applied']);
    expect(await client.stats()).to.include({ queue: 0, inbox: 2, applied: 1, refused: 2 });
  });

  it('[P5] the inbox keeps the batch with its verdict until it is dismissed', async () => {
    const store = createMemoryStore();
    const { client } = await startClient(gateway, { store });
    const { settled, batchId } = await client.push([put('a', { refuse: 'guard_failed' })]);
    await settled;
    const [entry] = await store.inbox();
    expect(entry).to.deep.include({ outcome: 'rejected', verdict: await settled });
    expect(entry?.batch.mutations[0]?.id).to.equal('a');
    await store.dismiss(batchId);
    expect(await store.inboxCount()).to.equal(0);
  });

  it('retry later: waits and sends from that batch on, in order', async () => {
    let busy = 2;
    gateway.faults.push = (body) =>
      body.seq === 2 && busy-- > 0 ? refuse('busy', { retry: 'later', retryAfterMs: 30 }) : undefined;
    const { client } = await startClient(gateway);
    await Promise.all([1, 2, 3, 4].map((i) => client.push([put(`r${i}`)])));
    await client.drained();
    expect(gateway.log.map((change) => change.id)).to.deep.equal(['r1', 'r2', 'r3', 'r4']);
    expect(gateway.hellos).to.have.lengthOf(1);
  });

  it('seq_gap: sends again from expectedSeq', async () => {
    let once = true;
    gateway.faults.push = (body) => {
      if (body.seq !== 3 || !once) return undefined;
      once = false;
      return refuse('seq_gap', { expectedSeq: 3 });
    };
    const { client } = await startClient(gateway);
    for (let i = 1; i <= 5; i += 1) await client.push([put(`r${i}`)]);
    await client.drained();
    expect(gateway.log.map((change) => change.id)).to.deep.equal(['r1', 'r2', 'r3', 'r4', 'r5']);
  });

  it('[I9] seq_gap for a batch that is gone: a new incarnation, same batchIds, nothing twice', async () => {
    const store = createMemoryStore();
    await store.enqueue({ mutations: [put('lost')] });
    const { batchId } = await store.enqueue({ mutations: [put('kept')] });
    await store.settle([
      { batchId: (await store.outbox({ after: 0, limit: 1 }))[0]!.batchId, outcome: 'applied' },
    ]);
    const { client, of } = await startClient(gateway, { store });
    await client.drained();
    expect(of('identity').map((one) => one.reason)).to.deep.equal(['batch_missing']);
    expect(gateway.log.map((change) => change.id)).to.deep.equal(['kept']);
    expect(of('verdict')[0]).to.include({ seq: 1, batchId });
  });

  it('[F35] a store that is an older copy of itself notices at the hello and takes a new incarnation', async () => {
    gateway.faults.hello = () => (gateway.hellos.length === 1 ? { lastSeq: 9 } : undefined);
    const { client, of } = await startClient(gateway);
    await (
      await client.push([put('a')])
    ).settled;
    expect(of('identity').map((one) => one.reason)).to.deep.equal(['store_rolled_back']);
    expect(gateway.hellos[1]?.incarnation).to.not.equal(gateway.hellos[0]?.incarnation);
    expect(gateway.hellos[1]?.clientId).to.equal(gateway.hellos[0]?.clientId);
  });

  it('[P2] salvaged batches that had been applied under the old incarnation are not applied twice', async () => {
    const store = createMemoryStore();
    gateway.faults.cutAfterCommit = () => true;
    const first = await startClient(gateway, { store });
    await first.client.push([put('a')]);
    await until(() => gateway.head === 1);
    await first.client.close();
    gateway.faults = {};
    await store.renewIncarnation();
    const { client, of } = await startClient(gateway, { store });
    await client.drained();
    expect(gateway.head).to.equal(1);
    expect(of('verdict')[0]?.verdict).to.include({ replay: true, version: 1 });
  });

  it('seq_reuse: once under a new incarnation, then visibly into quarantine; the others go on', async () => {
    gateway.faults.push = (body) => (body.mutations[0]?.id === 'bad' ? refuse('seq_reuse', {}) : undefined);
    const { client, of } = await startClient(gateway);
    const bad = await client.push([put('bad')]);
    const good = await client.push([put('good')]);
    const failure = await bad.settled.then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).to.include({ code: 'quarantined' });
    await good.settled;
    expect(of('identity').map((one) => one.reason)).to.deep.equal(['seq_reuse', 'quarantine']);
    expect(of('verdict').map((one) => one.outcome)).to.deep.equal(['quarantined', 'applied']);
    expect(await client.stats()).to.include({ inbox: 1, queue: 0 });
  });

  it('what the gateway can never take is quarantined, not sent for ever', async () => {
    gateway.faults.push = (body) =>
      body.mutations[0]?.id === 'bad' ? refuse('invalid_message', {}) : undefined;
    const { client, of } = await startClient(gateway);
    await client.push([put('bad')]);
    await (
      await client.push([put('good')])
    ).settled;
    expect(of('verdict').map((one) => one.outcome)).to.deep.equal(['quarantined', 'applied']);
    expect(gateway.log.map((change) => change.id)).to.deep.equal(['good']);
  });

  it('a missing permission holds the queue and says so; nothing is thrown away', async () => {
    gateway.faults.push = () => refuse('forbidden', {});
    const { client, of } = await startClient(gateway, { backoff: { baseMs: 1, capMs: 2, stableMs: 50 } });
    const { settled } = await client.push([put('a')]);
    await until(() => of('error').length > 1);
    gateway.faults = {};
    expect(await settled).to.include({ version: 1 });
  });

  it('[F28] a token refused in mid-push is renewed in band', async () => {
    let expired = 1;
    gateway.faults.push = () => (expired-- > 0 ? refuse('token_expired', { retry: 'auth' }) : undefined);
    const { client } = await startClient(gateway, { tokens: tokensOf('old', 'new') });
    await (
      await client.push([put('a')])
    ).settled;
    expect(gateway.refreshed).to.deep.equal(['new']);
    expect(gateway.hellos).to.have.lengthOf(1);
  });

  it('[F28] several refused at once: one new token, and still in order', async () => {
    let expired = 4;
    gateway.faults.push = () => (expired-- > 0 ? refuse('token_expired', { retry: 'auth' }) : undefined);
    const { client } = await startClient(gateway, { tokens: tokensOf('old', 'new') });
    await Promise.all([1, 2, 3, 4].map((i) => client.push([put(`r${i}`)])));
    await client.drained();
    expect(gateway.refreshed).to.deep.equal(['new']);
    expect(seqs()).to.deep.equal([1, 2, 3, 4, 1, 2, 3, 4]);
  });

  it('[P6] a full outbox is a clear error and loses nothing', async () => {
    const store = createMemoryStore({ maxOutbox: 2 });
    gateway.faults.push = () => 'silent';
    const { client } = await startClient(gateway, { store });
    await client.push([put('a')]);
    await client.push([put('b')]);
    const failure = await client.push([put('c')]).catch((error: unknown) => error);
    expect(failure).to.include({ code: 'outbox_full' });
    expect(await store.outboxCount()).to.equal(2);
  });

  it('what the wire could not carry fails at the caller', async () => {
    const { client } = await startClient(gateway);
    const code = (mutation: unknown): Promise<unknown> =>
      client.push([mutation as never]).catch((error: unknown) => (error as { code: string }).code);
    expect(await code({ collection: 'Bad Name', id: 'x', op: 'put' })).to.equal('invalid_batch');
    expect(await code(put('x', { text: 'x'.repeat(300_000) }))).to.equal('payload_too_large');
    expect(await code(put('x', deep(40)))).to.equal('invalid_batch');
    for (const odd of [Infinity, NaN, 1n])
      expect(await code(put('x', { list: [odd] })), String(odd)).to.equal('invalid_batch');
    expect((await client.stats()).queue).to.equal(0);
  });

  it('[F22] a verdict that cannot be stored is fetched again, and the queue goes on', async () => {
    const store = createMemoryStore();
    const settle = store.settle.bind(store);
    let full = 2;
    store.settle = (list) => (full-- > 0 ? Promise.reject(new Error('disk full')) : settle(list));
    const { client, of } = await startClient(gateway, { store });
    await Promise.all([1, 2, 3].map((i) => client.push([put(`r${i}`)])));
    await client.drained();
    expect(of('error').map((error) => error.message)).to.include('disk full');
    expect(gateway.head).to.equal(3);
  });

  it('[F22] a new incarnation that cannot be stored is taken on the next connection, and the queue goes on', async () => {
    const store = createMemoryStore();
    const renew = store.renewIncarnation.bind(store);
    let failures = 1;
    store.renewIncarnation = (order) =>
      failures-- > 0 ? Promise.reject(new Error('disk full')) : renew(order);
    gateway.faults.push = ({ mutations: [first] }) =>
      first?.id === 'bad' ? refuse('payload_too_large', { retry: 'never' }) : undefined;
    const { client } = await startClient(gateway, { store });
    const bad = await client.push([put('bad')]);
    bad.settled.catch(() => undefined);
    await client.push([put('good')]);
    await client.drained();
    expect(gateway.log.map(({ id }) => id)).to.deep.equal(['good']);
  });

  it('[P6] pushes refused again and again are told as stalled, from the third on; a verdict ends it', async () => {
    let busy = 4;
    gateway.faults.push = () =>
      busy-- > 0 ? refuse('unavailable', { retry: 'later', retryAfterMs: 5 }) : undefined;
    const { client, of } = await startClient(gateway);
    await client.push([put('a')]);
    await client.drained();
    expect(of('stalled').map(({ code, refusals }) => [code, refusals])).to.deep.equal([
      ['unavailable', 3],
      ['unavailable', 4],
    ]);
  });

  it('closing rejects what is waited for and keeps the batch', async () => {
    const store = createMemoryStore();
    gateway.faults.push = () => 'silent';
    const { client } = await startClient(gateway, { store });
    const { settled } = await client.push([put('a')]);
    await client.close();
    expect(await settled.catch((error: unknown) => error)).to.include({ code: 'closed' });
    const late = await client.push([put('b')]);
    expect(await late.settled.catch((error: unknown) => error)).to.include({ code: 'closed' });
    expect(await store.outboxCount()).to.equal(2);
  });
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

function deep(levels: number): Record<string, unknown> {
  return levels === 0 ? {} : { deeper: deep(levels - 1) };
}
