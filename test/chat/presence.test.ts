import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Presence } from '../../protocol/chat.ts';
import { parseGrants } from '../../server/auth/principal.ts';
import type { Principal } from '../../server/auth/principal.ts';
import { addTenant, enterChat, latest, QUICK, startChatGateway } from '../support/chat-gateway.ts';
import type { ChatGateway, ChatToken, ChatWire } from '../support/chat-gateway.ts';
import { until } from '../support/sync-gateway.ts';

const agent = (tenantId = 1): Principal => ({
  tenantId,
  kind: 'client',
  id: randomUUID(),
  name: 'Branch 12',
  sessionId: 's',
  scopes: new Set(['sync:read', 'sync:write']),
  grants: parseGrants(['branch-12']),
  expiresAt: Date.now() + 900_000,
});

describe('chat: presence, on two nodes', () => {
  let a: ChatGateway;
  let b: ChatGateway;
  const clients: ChatWire[] = [];
  const enter = async (gateway: ChatGateway, token: ChatToken = {}): Promise<ChatWire> => {
    const client = await enterChat(gateway.url, token);
    clients.push(client);
    return client;
  };
  const shows = (client: ChatWire, id: string, status: Presence['status']): Promise<void> =>
    until(status, () => latest(client, id)?.status === status);
  before(async () => {
    a = await startChatGateway({ timing: QUICK });
    b = await startChatGateway({ databaseUrl: a.databaseUrl, timing: QUICK });
    await addTenant(a.db, 2);
  });
  afterEach(() => clients.splice(0).forEach((client) => client.close()));
  after(async () => {
    await a.close();
    await b.close();
  });

  it('[CH30] one who comes in is told who is there, itself too; the others are told of it', async () => {
    const here = await enter(a);
    const there = await enter(b);
    await shows(there, here.id, 'online');
    await shows(here, there.id, 'online');
    await shows(here, here.id, 'online');
    const { presence } = await there.ask('status:list');
    expect(presence.map((one) => one.principal)).to.include.members([`user:${here.id}`, `user:${there.id}`]);
    const mine = latest(there, here.id);
    expect(mine).to.include({ kind: 'user', name: `name-${here.id.slice(0, 4)}` });
    expect(mine?.since).to.match(/Z$/);
  });

  it('[CH31] a status with its text reaches both nodes, and holds for all sockets of the principal', async () => {
    const watcher = await enter(b);
    const one = await enter(a);
    await shows(watcher, one.id, 'online');
    expect(await one.ask('status:set', { status: 'busy', text: 'counting' })).to.deep.equal({ ok: true });
    await shows(watcher, one.id, 'busy');
    await enter(b, { id: one.id });
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(latest(watcher, one.id)).to.include({ status: 'busy', text: 'counting' });
    for (const bad of [{ status: 'gone' }, { status: 'busy', text: 'x'.repeat(141) }, {}])
      expect(await one.ask('status:set', bad)).to.nested.include({ 'error.code': 'invalid_message' });
  });

  it('[CH32] several sockets are one presence; a reconnect is no flicker', async () => {
    const watcher = await enter(a);
    const one = await enter(a);
    const two = await enter(b, { id: one.id });
    await shows(watcher, one.id, 'online');
    one.close();
    two.close();
    const again = await enter(b, { id: one.id });
    await new Promise((resolve) => setTimeout(resolve, 700));
    const said = watcher.presence.filter((p) => p.principal.endsWith(one.id)).map((p) => p.status);
    expect(new Set(said)).to.deep.equal(new Set(['online']));
    again.close();
    await shows(watcher, one.id, 'offline');
  });

  it('[I6] the people of a node that dies go offline by themselves; those elsewhere too stay', async () => {
    const doomed = await startChatGateway({ databaseUrl: a.databaseUrl, timing: QUICK });
    const watcher = await enter(a);
    const lost = await enter(doomed);
    const both = await enter(doomed);
    await enter(b, { id: both.id });
    await shows(watcher, lost.id, 'online');
    await shows(watcher, both.id, 'online');
    await doomed.crash();
    expect(latest(watcher, lost.id)?.status).to.equal('online');
    await shows(watcher, lost.id, 'offline');
    expect(latest(watcher, both.id)?.status).to.equal('online');
  });

  it('[I6] a node that is stopped leaves its people the time of a reconnect', async () => {
    const going = await startChatGateway({ databaseUrl: a.databaseUrl, timing: QUICK });
    const watcher = await enter(a);
    const one = await enter(going);
    await shows(watcher, one.id, 'online');
    await going.close();
    await enter(b, { id: one.id });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const said = watcher.presence.filter((p) => p.principal.endsWith(one.id)).map((p) => p.status);
    expect(new Set(said)).to.deep.equal(new Set(['online']));
  });

  it('[CH33] branch agents are in the list with queue and lag', async () => {
    const watcher = await enter(b);
    const figures = { queue: 7, lag: 3 };
    const branch = agent();
    const disconnected = a.presence.connected(branch, () => figures);
    await until('the agent', () => latest(watcher, branch.id)?.queue === 7);
    expect(latest(watcher, branch.id)).to.include({ kind: 'client', name: 'Branch 12', queue: 7, lag: 3 });
    figures.lag = 0;
    await until('its new lag', () => latest(watcher, branch.id)?.lag === 0);
    disconnected();
    await shows(watcher, branch.id, 'offline');
  });

  it('[CH33] what was refused and waits at the branch is shown beside them, and after it has gone', async () => {
    const watcher = await enter(b);
    const figures = { queue: 0, lag: 0, inbox: 2 };
    const branch = agent();
    const disconnected = a.presence.connected(branch, () => figures);
    await until('the inbox', () => latest(watcher, branch.id)?.inbox === 2);
    figures.inbox = 1;
    await until('what is left', () => latest(watcher, branch.id)?.inbox === 1);
    disconnected();
    await shows(watcher, branch.id, 'offline');
    expect(latest(watcher, branch.id)).to.include({ inbox: 1 });
  });

  it('[CH33] figures of a connection that has closed no longer count', async () => {
    const slow = await startChatGateway({
      databaseUrl: a.databaseUrl,
      timing: { ...QUICK, renewMs: 60_000, ttlMs: 90_000 },
    });
    const watcher = await enter(slow);
    const branch = agent();
    const ended = [
      slow.presence.connected(branch, () => ({ lag: 0 })),
      slow.presence.connected(branch, () => ({ lag: 99 })),
    ];
    await until('the larger lag', () => latest(watcher, branch.id)?.lag === 99);
    ended[1]?.();
    await until('the other lag', () => latest(watcher, branch.id)?.lag === 0);
    ended[0]?.();
    await slow.close();
  });

  it('[CH34] an agent that has gone stays in the list as offline, with its last queue and lag', async () => {
    const watcher = await enter(b);
    const branch = agent();
    const figures = { queue: 0, lag: 0 };
    const disconnected = a.presence.connected(branch, () => figures);
    await shows(watcher, branch.id, 'online');
    Object.assign(figures, { queue: 4, lag: 9 });
    const before = Date.now();
    disconnected();
    await shows(watcher, branch.id, 'offline');
    const later = await enter(a);
    const find = async (client: ChatWire): Promise<Presence | undefined> =>
      (await client.ask('status:list')).presence.find((one) => one.principal.endsWith(branch.id));
    for (const client of [watcher, later]) {
      const shown = await find(client);
      expect(shown).to.include({ kind: 'client', name: 'Branch 12', status: 'offline', queue: 4, lag: 9 });
      expect(Date.parse(shown?.since ?? '')).to.be.within(before - 1_000, Date.now() + 1_000);
    }
    const back = a.presence.connected(branch, () => ({ queue: 1, lag: 0 }));
    await shows(watcher, branch.id, 'online');
    expect(await find(later)).to.include({ status: 'online', queue: 1, lag: 0 });
    back();
    await shows(watcher, branch.id, 'offline');
  });

  it('[S63] presence stays inside the tenant', async () => {
    const foreign = await enter(a, { tenantId: 2 });
    const ours = await enter(a);
    const branch = agent();
    const disconnected = a.presence.connected(branch);
    await shows(ours, branch.id, 'online');
    const { presence } = await foreign.ask('status:list');
    expect(presence.map((one) => one.principal)).to.deep.equal([`user:${foreign.id}`]);
    expect(new Set(foreign.presence.map((one) => one.principal))).to.deep.equal(
      new Set([`user:${foreign.id}`]),
    );
    disconnected();
  });

  it('[CH34] agents of nodes that died are listed once; not those disabled, long gone, or of another tenant', async () => {
    const branch = agent();
    const [disabled, ancient, foreign] = [agent(), agent(), agent(2)];
    for (let life = 0; life < 2; life += 1) {
      const doomed = await startChatGateway({ databaseUrl: a.databaseUrl, timing: QUICK });
      for (const one of [branch, disabled, ancient, foreign]) doomed.presence.connected(one);
      const watcher = await enter(a);
      for (const one of [branch, disabled, ancient]) await shows(watcher, one.id, 'online');
      await doomed.crash();
      for (const one of [branch, disabled, ancient]) await shows(watcher, one.id, 'offline');
    }
    await a.db.sql(
      `INSERT INTO oauth_clients (tenant_id, id, client_id, name, scopes, partitions, created_by, created_at, disabled_at)
       VALUES (1, $1::uuid, $1::text, 'x', '{}', '{}', 'test', now(), now())`,
      [disabled.id],
    );
    const lapse =
      "UPDATE presence_leases SET expires_at = now() - $2 * interval '1 day' WHERE principal = $1";
    await a.db.sql(lapse, [`client:${ancient.id}`, 31]);
    await a.db.sql(lapse, [`client:${branch.id}`, 29]);
    const kept = (id: string): Promise<unknown[]> =>
      a.db.sql('SELECT 1 FROM presence_leases WHERE principal = $1', [`client:${id}`]);
    await until('what is not needed is dropped', async () => (await kept(ancient.id)).length === 0);
    await until('one lease is kept', async () => (await kept(branch.id)).length === 1);
    const { presence } = await (await enter(b)).ask('status:list');
    const named = (one: Principal): number =>
      presence.filter(({ principal }) => principal === `client:${one.id}`).length;
    expect([branch, disabled, ancient, foreign].map(named)).to.deep.equal([1, 0, 0, 0]);
  });

  it('[F7] a lease that ran out while the database was away is no offline for those still connected', async () => {
    const watcher = await enter(a);
    const one = await enter(a);
    await shows(watcher, one.id, 'online');
    await a.db.sql("UPDATE presence_leases SET expires_at = now() - interval '1 second'");
    await watcher.ask('status:list');
    expect(latest(watcher, one.id)?.status).to.equal('online');
  });
});
