import { expect } from 'chai';
import pg from 'pg';
import { createSocketRegistry } from '../../server/auth/live-sockets.ts';
import type { Principal } from '../../server/auth/principal.ts';
import type { Doorkeeper } from '../../server/sockets/guards.ts';
import { connectWire, startSyncGateway, tokenFor, toPrincipal, until } from '../support/sync-gateway.ts';
import type { SyncGateway, WireClient } from '../support/sync-gateway.ts';
import { applied, asset, stock } from './setup.ts';

/** A look at somebody's rights that the test answers when it likes. */
interface Look {
  principal: Principal;
  /** Answers with what was true when it was asked. */
  answer: () => void;
}

describe('sync: rights that change while they are looked up', () => {
  let gateway: SyncGateway;
  let partitions: string[];
  /** Whose looks wait, and for what. */
  let slow: (principal: Principal) => boolean;
  let looks: Look[];
  /** By whose token it was asked last. */
  let lookedAt: Principal;
  const sockets = createSocketRegistry(() => false);
  const clients: WireClient[] = [];

  const look = (principal: Principal): Promise<Principal> => {
    if (principal.id !== 'watched') return Promise.resolve(principal);
    lookedAt = principal;
    const now = { ...principal, grants: toPrincipal(tokenFor({ partitions })).grants };
    if (!slow(principal)) return Promise.resolve(now);
    return new Promise((resolve) => looks.push({ principal, answer: () => resolve(now) }));
  };
  const identity: Partial<Doorkeeper> = {
    sockets,
    authenticate: (token) => look(toPrincipal(token)),
    current: look,
  };

  before(async () => {
    gateway = await startSyncGateway({ identity });
  });
  beforeEach(() => {
    partitions = ['b1', 'b2'];
    slow = () => false;
    looks = [];
  });
  afterEach(() => {
    looks.forEach(({ answer }) => answer());
    clients.splice(0).forEach((client) => client.close());
  });
  after(() => gateway.close());

  const watched = (ttlMs = 900_000): string => tokenFor({ id: 'watched', session: 's', ttlMs });
  const connect = async (token: string): Promise<WireClient> => {
    const client = await connectWire(gateway.url, { token });
    clients.push(client);
    return client;
  };
  const demote = (): void => {
    partitions = ['b1'];
    sockets.principalChanged(1, 'client:watched');
  };

  it('[A2] a hello whose look at the rights takes long does not bring the old token back', async () => {
    const a = await connect(watched(10_000));
    slow = ({ expiresAt }) => expiresAt < Date.now() + 60_000;
    const greeted = a.hello({ subscribe: [] });
    await until('the look', () => looks.length === 1);
    const refreshed = a.request('auth:refresh', { token: watched() });
    // it has arrived by the time that a later event is answered
    await a.request('sync:nothing', {});
    slow = () => false;
    looks[0]?.answer();
    await greeted;
    expect(await refreshed).to.include({ ok: true });
    expect(await applied(a, asset('still-in'))).to.be.a('number');
    expect(lookedAt.expiresAt).to.be.above(Date.now() + 60_000);
  });

  it('[A5] [S58] a hello that the rights shrink under is begun anew with those of now', async () => {
    const writer = await connect(tokenFor());
    await writer.hello({ subscribe: [] });
    await applied(writer, stock('near', 1, { partition: 'b1' }));
    await applied(writer, stock('far', 1, { partition: 'b2' }));
    const holder = new pg.Client({ connectionString: gateway.databaseUrl });
    await holder.connect();
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE sync_clients IN EXCLUSIVE MODE');
    const a = await connect(watched());
    const greeted = a.hello({ subscribe: [{ collection: 'stoku' }] });
    await until('the hello at the database', async () => {
      const waiting = await gateway.db.sql(
        `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      return waiting.length > 0;
    });
    demote();
    await a.request('sync:nothing', {});
    await holder.end();
    expect(await greeted).to.include({ ok: true });
    await until('the snapshot', () => a.cursor !== null);
    expect([...a.records.keys()].filter((key) => /near|far/.test(key))).to.deep.equal(['stoku/near']);
  });

  it('[A5] [S58] a subscribe that was looking when the rights shrank shows nothing of what they were', async () => {
    const writer = await connect(tokenFor());
    await writer.hello({ subscribe: [] });
    await applied(writer, stock('hidden', 1, { partition: 'b2' }));
    const a = await connect(watched());
    await a.hello({ subscribe: [] });
    await until('the snapshot', () => a.cursor !== null);
    slow = () => true;
    const subscribed = a.request('sync:subscribe', { collection: 'stoku' });
    await until('the look', () => looks.length === 1);
    demote();
    await a.request('sync:nothing', {});
    looks[0]?.answer();
    // what else it looks at is answered slowly: long enough for a page of the snapshot
    await until('the next look', () => looks.length > 1);
    for (let i = 0; i < 20; i += 1) await a.request('sync:nothing', {});
    slow = () => false;
    looks.forEach(({ answer }) => answer());
    expect(await subscribed).to.deep.equal({ ok: true });
    await applied(writer, stock('seen', 1, { partition: 'b1' }));
    await until('the visible one', () => a.records.has('stoku/seen'));
    const shown = a.snapshots.flatMap(({ records }) => records.map(({ id }) => id));
    expect(shown).to.not.include('hidden');
  });

  it('[A5] [S58] whatever comes in between, the last rights are the ones that count', async () => {
    const a = await connect(watched());
    await a.hello({ subscribe: [{ collection: 'stoku' }] });
    await until('the snapshot', () => a.cursor !== null);
    slow = () => true;
    const asked = [
      a.push([asset('in-between')]),
      a.request('auth:refresh', { token: watched() }),
      a.request('sync:subscribe', { collection: 'assets' }),
    ];
    await until('the first look', () => looks.length > 0);
    demote();
    partitions = ['b1', 'b2'];
    sockets.principalChanged(1, 'client:watched');
    demote();
    slow = () => false;
    // the latest first: an old answer comes after a new one
    for (const { answer } of looks.splice(0).reverse()) answer();
    await Promise.all(asked);
    const writer = await connect(tokenFor());
    await writer.hello({ subscribe: [] });
    await applied(writer, stock('late-hidden', 1, { partition: 'b2' }));
    await applied(writer, stock('late-seen', 1, { partition: 'b1' }));
    await until('the visible one', () => a.records.has('stoku/late-seen'));
    expect(a.records.has('stoku/late-hidden')).to.equal(false);
  });

  it('[A2] a socket that closes while its new token is looked at leaves nothing behind', async () => {
    const a = await connect(watched());
    await a.hello({ subscribe: [] });
    slow = ({ expiresAt }) => expiresAt > Date.now() + 1_000_000;
    void a.request('auth:refresh', { token: watched(2_000_000) }).catch(() => undefined);
    await until('the look', () => looks.length === 1);
    const before = sockets.size;
    a.close();
    await until('the end', () => sockets.size === before - 1);
    looks[0]?.answer();
    const b = await connect(tokenFor());
    await b.request('sync:nothing', {});
    expect(sockets.size).to.equal(before);
  });
});
