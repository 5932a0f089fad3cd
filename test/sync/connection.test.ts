import { randomUUID } from 'node:crypto';
import { mock } from 'node:test';
import { expect } from 'chai';
import type { HelloAck } from '../../protocol/sync.ts';
import { createSocketRegistry } from '../../server/auth/live-sockets.ts';
import type { Principal } from '../../server/auth/principal.ts';
import { watchExpiry } from '../../server/sockets/guards.ts';
import { connectWire, startSyncGateway, tokenFor, toPrincipal, until } from '../support/sync-gateway.ts';
import type { WireClient } from '../support/sync-gateway.ts';
import { applied, asset, patch, refusalOf, stock, useGateway, verdictOf } from './setup.ts';

/** Collects what the server says before it closes. */
function farewell(client: WireClient): { said: unknown[]; closed: Promise<string> } {
  const said: unknown[] = [];
  for (const event of ['sync:closing', 'auth:revoked', 'auth:expiring'])
    client.socket.on(event, (body: { code?: string }) => void said.push([event, body.code]));
  return { said, closed: new Promise((resolve) => client.socket.once('disconnect', resolve)) };
}

describe('sync: hello and limits', () => {
  const suite = useGateway();

  it('[H3] lastSeq is where the installation stands; a new incarnation starts at 0', async () => {
    const token = tokenFor();
    const a = await suite.greeted({ token });
    await a.push([stock('h3')]);
    const { clientId, incarnation } = a;
    const same = await suite.client({ token, clientId, incarnation });
    const fresh = await suite.client({ token, clientId });
    expect((await same.hello()).lastSeq).to.equal(1);
    expect((await fresh.hello()).lastSeq).to.equal(0);
  });

  it('[H6] says how it starts: snapshot without a cursor, resume with a good one, else reset', async () => {
    const token = tokenFor();
    const modes: string[] = [];
    let cursor: string | null = null;
    for (const given of [() => null, () => cursor, () => 'rubbish']) {
      const a = await suite.client({ token });
      modes.push((await a.hello({ cursor: given() })).mode);
      if (modes.length === 1) await until('the snapshot', () => (cursor = a.cursor) !== null);
    }
    expect(modes).to.deep.equal(['snapshot', 'resume', 'reset']);
  });

  it('[H7] [L1] 1,000 mutations a batch, up to 5,000 when the hello asks for them', async () => {
    const many = (count: number) =>
      Array.from({ length: count }, (_, i) => patch(`h7-${i}`, { set: { name: 'x' } }));
    const sizes = async (limits: object, ...counts: number[]) => {
      const a = await suite.client();
      await a.hello({ subscribe: [], ...limits });
      const codes = [];
      for (const count of counts) {
        const ack = await a.push(many(count), { seq: a.nextSeq });
        codes.push(ack.ok ? 'ok' : ack.error.code);
        if (ack.ok) a.nextSeq += 1;
      }
      return codes;
    };
    expect(await sizes({}, 1_000, 1_001)).to.deep.equal(['ok', 'payload_too_large']);
    expect(await sizes({ limits: { batchMutations: 9_000 } }, 1_001, 5_000, 5_001)).to.deep.equal([
      'ok',
      'ok',
      'payload_too_large',
    ]);
  });

  it('[H8] no frame comes before the answer to hello', async () => {
    const token = tokenFor();
    const a = await suite.client({ token });
    await a.hello();
    await until('the snapshot', () => a.cursor !== null);
    await applied(a, asset('h8'));
    const b = await suite.client({ token });
    const order: string[] = [];
    b.socket.onAny((event: string) => order.push(event));
    const body = { protocol: 1, clientId: b.clientId, incarnation: '1', cursor: a.cursor, subscribe: [] };
    b.socket.emit('sync:hello', body, (ack: HelloAck) => order.push(`ok ${ack.ok}`));
    await b.request('auth:refresh', { token });
    await until('the answer', () => order.length > 0);
    expect(order[0]).to.equal('ok true');
  });

  it('[L2] a batch of 1 MiB of canonical JSON goes through, one byte more is refused whole', async () => {
    const a = await suite.greeted();
    const batchId = randomUUID();
    const body = (length: number) => ({
      batchId,
      mutations: [0, 1, 2, 3, 4].map((i) =>
        asset(`l2-${length}-${i}`, { text: 'x'.repeat(i === 4 ? length : 200_000) }),
      ),
    });
    // the hash is over the canonical text, in which nothing but the order of the keys differs
    const room = 1024 * 1024 - JSON.stringify(body(100_000)).length + 100_000;
    const over = await a.request('sync:push', { seq: 1, ...body(room + 1) });
    expect(refusalOf(over as never)).to.include({ code: 'payload_too_large', retry: 'never' });
    expect(verdictOf(await a.request('sync:push', { seq: 1, ...body(room) })).version).to.be.a('number');
  });

  it('[L3] a record of 256 KiB goes through, one byte more is refused and nothing applied', async () => {
    const a = await suite.greeted();
    const record = (length: number) =>
      asset(`l3-${length}`, { text: 'ë'.repeat(length / 2) + 'x'.repeat(length % 2) });
    const room = 256 * 1024 - JSON.stringify({ name: 'l3-262000', text: '' }).length;
    const refused = await a.push([asset('l3-beside'), record(room + 1)], { seq: 1, atomic: false });
    expect(refusalOf(refused)).to.include({ code: 'payload_too_large', path: 'mutations.1' });
    expect(verdictOf(await a.push([record(room)], { seq: 1 })).version).to.be.a('number');
    expect(await suite.gateway.db.sql(`SELECT 1 FROM records WHERE id = 'l3-beside'`)).to.deep.equal([]);
  });

  it('[L4] a message of 32 levels goes through', async () => {
    const a = await suite.greeted();
    let value: object = {};
    for (let i = 0; i < 27; i += 1) value = { a: value };
    expect(verdictOf(await a.push([asset('l4', { value })])).version).to.be.a('number');
  });

  it('[L5] ids of 1 to 200 printable characters, whatever they are', async () => {
    const a = await suite.greeted();
    const ids = ['x', '😀'.repeat(100), 'a/b c\\"\'%_;--', 'constructor', '__proto__', 'ë'.repeat(200)];
    for (const id of ids) {
      expect(await applied(a, asset(id))).to.be.a('number');
      expect(await applied(a, patch(id, { set: { status: 'x' } }, 'assets'))).to.be.a('number');
    }
  });

  it('[L6] over 256 pushes in flight: busy', async () => {
    const a = await suite.greeted();
    const acks = await Promise.all(Array.from({ length: 400 }, (_, i) => a.push([asset(`l6-${i}`)])));
    const codes = new Set(acks.map((ack) => (ack.ok ? 'ok' : ack.error.code)));
    expect([...codes]).to.include.members(['ok', 'busy']);
    expect(acks.filter((ack) => ack.ok).length).to.be.at.least(256);
  });

  it('[L7] [E5] over 2,000 events a second: sync:closing rate_limited, then closed; others go on', async () => {
    const [a, b] = [await suite.greeted(), await suite.greeted()];
    const { said, closed } = farewell(a);
    for (let i = 0; i < 6_000; i += 1) a.socket.emit('sync:ack', { to: 'x' });
    await closed;
    expect(said).to.deep.equal([['sync:closing', 'rate_limited']]);
    expect(await applied(b, asset('l7'))).to.be.a('number');
  });

  it('[L10] a message over 2.5 MiB closes its connection, not the others', async () => {
    const [a, b] = [await suite.greeted(), await suite.greeted()];
    const { closed } = farewell(a);
    a.socket.emit('sync:push', 'x'.repeat(2.6 * 1024 * 1024));
    await closed;
    expect(await applied(b, asset('l10'))).to.be.a('number');
  });

  it('[O1] [P3] versions rise by one, and each has its changes', async () => {
    await Promise.all(
      (await Promise.all([1, 2, 3, 4].map(() => suite.direct()))).map((push, i) =>
        push(1, [asset(`o1-${i}`)]),
      ),
    );
    const [gaps] = await suite.gateway.db.sql<{ head: number; versions: number; top: number }>(
      `SELECT head, (SELECT count(DISTINCT version)::int FROM changes WHERE tenant_id = 1) AS versions,
              (SELECT max(version) FROM changes WHERE tenant_id = 1) AS top FROM sync_versions WHERE tenant_id = 1`,
    );
    expect(gaps?.versions).to.equal(gaps?.head);
    expect(gaps?.top).to.equal(gaps?.head);
  });
});

describe('sync: authentication on the socket', () => {
  const suite = useGateway();

  for (const [what, token, code] of [
    ['no token', '', 'unauthenticated'],
    ['a token that is none', 'rubbish', 'invalid_token'],
  ] as const) {
    it(`[A1] ${what}: connect_error with the code`, async () => {
      const error = await connectWire(suite.gateway.url, { token }).catch(
        (e: unknown) => e as { data: unknown },
      );
      expect(error).to.have.nested.property('data.code', code);
      expect(error).to.have.nested.property('data.retry', 'auth');
    });
  }

  it('[A2] auth:refresh takes a token of the same principal and says when it ends', async () => {
    const id = randomUUID();
    const a = await suite.greeted({ token: tokenFor({ id, ttlMs: 60_000 }) });
    const answer = await a.request<{ ok: true; expiresAt: string }>('auth:refresh', {
      token: tokenFor({ id }),
    });
    expect(Date.parse(answer.expiresAt) - Date.now()).to.be.within(880_000, 900_000);
    for (const token of [tokenFor(), tokenFor({ id, tenantId: 2 })])
      expect(refusalOf(await a.request('auth:refresh', { token })).code).to.equal('forbidden');
    expect(refusalOf(await a.request('auth:refresh', { token: '' })).code).to.equal('invalid_message');
  });

  it('[A2] a session the socket was refreshed into is the one that can end it', async () => {
    const id = randomUUID();
    const a = await suite.greeted({ token: tokenFor({ id, session: 'first' }) });
    await a.request('auth:refresh', { token: tokenFor({ id, session: 'second' }) });
    const { said, closed } = farewell(a);
    suite.gateway.sockets.closeSession('first');
    expect(await applied(a, asset('a2'))).to.be.a('number');
    suite.gateway.sockets.closeSession('second');
    await closed;
    expect(said).to.deep.equal([['auth:revoked', 'revoked']]);
  });

  it('[A3] auth:expiring before the end; 30 s after it auth:revoked token_expired, then closed', async () => {
    const a = await suite.greeted({ token: tokenFor({ ttlMs: -29_500 }) });
    const { said, closed } = farewell(a);
    await closed;
    expect(said.at(-1)).to.deep.equal(['auth:revoked', 'token_expired']);
    const b = await suite.client({ token: tokenFor({ ttlMs: 200 }) });
    const { said: warned } = farewell(b);
    await until('the warning', () => warned.length > 0);
    expect(warned[0]).to.deep.equal(['auth:expiring', undefined]);
  });

  for (const days of [1, 60, 400])
    it(`[A3] [S55] a token of ${days} days: warned a minute before its end, out 30 s after it, and not before`, () => {
      mock.timers.enable({ apis: ['setTimeout', 'Date'] });
      try {
        const said: [string, number][] = [];
        const ends = days * 86_400_000;
        const say = (word: string) => (): void => void said.push([word, Date.now() - ends]);
        const watch = watchExpiry(1_000, { expiring: say('expiring'), expired: say('expired') });
        watch.extend(ends);
        for (let day = 1; day < days; day += 1) mock.timers.tick(86_400_000);
        for (let half = 0; half <= 2_880; half += 1) mock.timers.tick(30_000);
        expect(said).to.deep.equal([
          ['expiring', -60_000],
          ['expired', 30_000],
        ]);
      } finally {
        mock.timers.reset();
      }
    });

  it('[A4] [I5] a revoked session: auth:revoked, disconnected, nothing delivered after', async () => {
    const [a, b] = [await suite.client({ token: tokenFor({ session: 's1' }) }), await suite.greeted()];
    await a.hello();
    await until('the snapshot', () => a.cursor !== null);
    const { said, closed } = farewell(a);
    suite.gateway.sockets.closeSession('s1');
    await applied(b, asset('a4'));
    await closed;
    expect(said).to.deep.equal([['auth:revoked', 'revoked']]);
    expect(a.records.has('assets/a4')).to.equal(false);
  });

  it('[A4] [S56] a session revoked during the handshake', async () => {
    const sockets = createSocketRegistry(() => true);
    const gateway = await startSyncGateway({ identity: { sockets } });
    const a = await connectWire(gateway.url);
    await until('the end', () => a.socket.disconnected);
    expect(sockets.size).to.equal(0);
    await gateway.close();
  });

  it('[A5] [S58] a demotion counts at the next push', async () => {
    let scopes = ['sync:read', 'sync:write'];
    const current = (principal: Principal) => Promise.resolve({ ...principal, scopes: new Set(scopes) });
    const gateway = await startSyncGateway({ identity: { current } });
    const a = await connectWire(gateway.url);
    await a.hello({ subscribe: [] });
    await applied(a, asset('a5'));
    scopes = ['sync:read'];
    expect(refusalOf(await a.push([asset('a5-b')])).code).to.equal('forbidden');
    a.close();
    await gateway.close();
  });

  it('[A5] [S58] rights that shrink or grow change the slice of an open socket', async () => {
    let partitions = ['b1', 'b2'];
    const current = (principal: Principal) =>
      Promise.resolve({ ...principal, grants: toPrincipal(tokenFor({ partitions })).grants });
    const sockets = createSocketRegistry(() => false);
    const gateway = await startSyncGateway({ identity: { current, sockets } });
    const [a, writer] = [
      await connectWire(gateway.url, { token: tokenFor({ id: 'demoted' }) }),
      await connectWire(gateway.url),
    ];
    await a.hello();
    await writer.hello({ subscribe: [] });
    await until('the snapshot', () => a.cursor !== null);
    const resets: unknown[] = [];
    a.socket.on('sync:reset', (body) => resets.push(body));
    partitions = ['b1'];
    sockets.principalChanged(1, 'client:demoted');
    await until('the reset', () => resets.length === 1);
    partitions = ['b1', 'b2'];
    await applied(writer, stock('seen', 1, { partition: 'b1' }));
    await applied(writer, stock('hidden', 1, { partition: 'b2' }));
    await until('the visible one', () => a.records.has('stoku/seen'));
    expect(a.records.has('stoku/hidden')).to.equal(false);
    [a, writer].forEach((client) => client.close());
    await gateway.close();
  });

  it('[A5] a refreshed token with other partitions changes the slice', async () => {
    const id = randomUUID();
    const a = await suite.client({ token: tokenFor({ id, partitions: ['b1'] }) });
    const b = await suite.greeted();
    await a.hello();
    await until('the snapshot', () => a.cursor !== null);
    await a.request('auth:refresh', { token: tokenFor({ id, partitions: ['b2'] }) });
    await applied(b, stock('a5-now', 1, { partition: 'b2' }));
    await until('the new slice', () => a.records.has('stoku/a5-now'));
  });

  it('[A5] pushes keep their order when the rights of the first take longer to look up', async () => {
    let calls = 0;
    const current = async (principal: Principal) => {
      await new Promise((resolve) => setTimeout(resolve, calls++ === 1 ? 50 : 0));
      return principal;
    };
    const gateway = await startSyncGateway({ identity: { current } });
    const a = await connectWire(gateway.url);
    await a.hello({ subscribe: [] });
    const acks = await Promise.all([1, 2, 3].map((i) => a.push([asset(`order-${i}`)])));
    expect(acks.map((ack) => ack.ok)).to.deep.equal([true, true, true]);
    a.close();
    await gateway.close();
  });
});
