import { monitorEventLoopDelay } from 'node:perf_hooks';
import { expect } from 'chai';
import { createSocketRegistry } from '../../server/auth/live-sockets.ts';
import type { LiveSocket } from '../../server/auth/live-sockets.ts';
import { createSessionStates } from '../../server/auth/session-states.ts';
import type { Sql } from '../../server/db.ts';
import { call } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const PEOPLE = 1_000;
const SOCKETS_EACH = 3;

describe('changed rights, told to many', () => {
  it('[S58] a change of a role with 1,000 people and 3,000 sockets does not hold up the event loop', async () => {
    const gateway = await startGateway();
    try {
      const told = await fill(gateway);
      await fetch(new URL('/auth/me', gateway.url));
      const delay = monitorEventLoopDelay({ resolution: 5 });
      delay.enable();
      const { status, body } = await call(gateway, '/api/v1/admin/roles/clerk', {
        method: 'PUT',
        json: { scopes: ['sync:read'] },
        key: ADMIN_KEY,
      });
      delay.disable();
      expect([status, (body['role'] as { people: number }).people, told()]).to.deep.equal([
        200, 1_000, 3_000,
      ]);
      expect(delay.max / 1e6).to.be.below(500);
    } finally {
      await gateway.close();
    }
  });

  it('[S58] a change of one principal looks at no socket of another', () => {
    const registry = createSocketRegistry(() => false);
    let looks = 0;
    const changed: string[] = [];
    const open = (sessionId: string, tenantId: number, principalKey: string): LiveSocket => ({
      sessionId,
      tenantId,
      get principalKey() {
        looks += 1;
        return principalKey;
      },
      close: () => undefined,
      changed: () => void changed.push(sessionId),
    });
    for (let i = 0; i < 1_000; i += 1) registry.register(open(`other ${i}`, 1, `user:${i}`));
    const leave = registry.register(open('gone', 1, 'user:me'));
    for (const [session, tenant] of [
      ['mine', 1],
      ['mine too', 1],
      ['elsewhere', 2],
    ] as const)
      registry.register(open(session, tenant, 'user:me'));
    leave();
    looks = 0;
    registry.principalChanged(1, 'user:me');
    expect(changed).to.deep.equal(['mine', 'mine too']);
    expect(looks).to.be.below(10);
  });

  it('[S58] 1,000 people are forgotten among 20,000 cached sessions without looking through them all', async () => {
    const sql = ((_text: unknown, [, id]: string[]) => Promise.resolve([rowOf(id!)])) as unknown as Sql;
    const states = createSessionStates(sql, () => 0);
    const loaded = await Promise.all(Array.from({ length: 20_000 }, (_, i) => states.load(1, `s${i}`)));
    const started = performance.now();
    for (let i = 0; i < PEOPLE; i += 1) states.forgetPrincipal(1, `user:s${i}`);
    const took = performance.now() - started;
    expect(await states.load(1, 's0')).not.to.equal(loaded[0]);
    expect(await states.load(1, 's1000')).to.equal(loaded[1_000]);
    expect(took).to.be.below(200);
  });
});

/** People of a role, each with sessions that are cached and sockets that ask anew when told. Returns how many were told. */
async function fill(gateway: Gateway): Promise<() => number> {
  const { db, identity } = gateway;
  await call(gateway, '/api/v1/admin/roles', { json: { name: 'clerk', scopes: ['chat'] }, key: ADMIN_KEY });
  const sessions = await db.sql<{ id: string; principal: string }>(
    `WITH people AS (
       INSERT INTO users (id, tenant_id, username, username_key, email, email_key, password_hash, role, partitions,
                          verified_at, created_at, changed_at)
       SELECT gen_random_uuid(), 1, 'p' || i, 'p' || i, i || '@example.com', i || '@example.com', 'x', 'clerk', '{}',
              now(), now(), now()
       FROM generate_series(1, $1) i RETURNING id)
     INSERT INTO sessions (id, tenant_id, principal_kind, principal_id, created_at, last_used_at, expires_at,
                           authenticated_at, amr)
     SELECT gen_random_uuid(), 1, 'user', id, now(), now(), now() + interval '1 day', now(), '{}'
     FROM people, generate_series(1, $2) RETURNING id, 'user:' || principal_id AS principal`,
    [PEOPLE, SOCKETS_EACH],
  );
  const told = new Set<string>();
  for (const { id, principal } of sessions) {
    identity.sockets.register({
      sessionId: id,
      principalKey: principal,
      tenantId: 1,
      close: () => undefined,
      changed: () => {
        told.add(id);
        void identity.core.states.load(1, id);
      },
    });
  }
  await Promise.all(sessions.map(({ id }) => identity.core.states.load(1, id)));
  return () => told.size;
}

function rowOf(id: string): object {
  const now = new Date(Date.now() + 60_000);
  return {
    ...{ principal_kind: 'user', principal_id: id, client_id: null, scopes: null, expires_at: now },
    ...{ authenticated_at: now, amr: [], dpop_jkt: null, session_ok: true, principal_ok: true, name: id },
    ...{ role: 'member', role_scopes: null, principal_scopes: null, partitions: [], ip_allow_list: null },
    rate_per_minute: null,
  };
}
