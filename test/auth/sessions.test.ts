import { expect } from 'chai';
import { principalKey } from '../../server/auth/principal.ts';
import type { Hints } from '../../server/hints.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';
import { auditRows, call, clientTokens, createClient, createPerson, logIn, token } from './support/client.ts';
import type { Answer, Person } from './support/client.ts';

const DAY = 86_400_000;

describe('sessions and refresh', () => {
  let gateway: Gateway;
  let person: Person;
  beforeEach(async () => {
    gateway = await startGateway();
    await createPerson(gateway);
    person = await createPerson(gateway);
  });
  afterEach(() => gateway.close());

  const refresh = (refreshToken: string): Promise<Answer> =>
    call(gateway, '/auth/refresh', { json: { refresh_token: refreshToken } });
  /** A socket as the registry sees it. */
  const openSocket = async (access: string): Promise<{ closed: string[]; changes: number }> => {
    const principal = await gateway.identity.authenticate(access);
    const seen = { closed: [] as string[], changes: 0 };
    gateway.identity.sockets.register({
      sessionId: principal.sessionId,
      principalKey: principalKey(principal),
      tenantId: principal.tenantId,
      close: (code) => void seen.closed.push(code),
      changed: () => void (seen.changes += 1),
    });
    return seen;
  };

  it('[S12] a refresh token used again after the grace ends the session and its sockets', async () => {
    const tokens = await logIn(gateway, person.username);
    const socket = await openSocket(tokens.access);
    const next = await refresh(tokens.refresh);
    gateway.clock.advance(10_001);
    const reuse = await refresh(tokens.refresh);
    const successor = await refresh(String(next.body['refresh_token']));
    const me = await call(gateway, '/auth/me', { bearer: String(next.body['access_token']) });
    expect([next.status, reuse.status, successor.status, me.status]).to.deep.equal([200, 401, 401, 401]);
    expect(me.body['code']).to.equal('revoked');
    expect(socket.closed).to.deep.equal(['revoked']);
    expect(await auditRows(gateway, 'auth.refresh_reuse')).to.have.length(1);
  });

  it('[S13] 50 parallel refreshes leave one successor', async () => {
    const tokens = await logIn(gateway, person.username);
    const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(tokens.refresh)));
    const successors = new Set(answers.map((answer) => answer.body['refresh_token']));
    const [row] = await gateway.db.sql<{ count: number }>(
      `SELECT count(*)::integer AS count FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id
       WHERE s.principal_id = $1`,
      [person.id],
    );
    expect(answers.map((answer) => answer.status)).to.deep.equal(Array.from({ length: 50 }, () => 200));
    expect([successors.size, row?.count]).to.deep.equal([1, 2]);
  });

  it('[S14] a replay in the grace gets the identical successor, and cannot stretch the window', async () => {
    const tokens = await logIn(gateway, person.username);
    const first = await refresh(tokens.refresh);
    gateway.clock.advance(6_000);
    const replay = await refresh(tokens.refresh);
    gateway.clock.advance(6_000);
    const late = await refresh(tokens.refresh);
    expect(replay.body['refresh_token']).to.equal(first.body['refresh_token']);
    expect([replay.status, late.status]).to.deep.equal([200, 401]);
  });

  it('[S14] once the successor has been used, a replay gets nothing, even within the grace', async () => {
    const tokens = await logIn(gateway, person.username);
    const first = await refresh(tokens.refresh);
    const second = await refresh(String(first.body['refresh_token']));
    const replay = await refresh(tokens.refresh);
    const third = await refresh(String(second.body['refresh_token']));
    expect([replay.status, replay.body['refresh_token'], third.status]).to.deep.equal([401, undefined, 200]);
  });

  it('[S17] the absolute cap beats sliding', async () => {
    const tokens = await logIn(gateway, person.username);
    let current = tokens.refresh;
    const statuses = [];
    for (let day = 0; day < 35; day += 5) {
      const answer = await refresh(current);
      statuses.push(answer.status);
      if (answer.status === 200) current = answer.body['refresh_token'] as string;
      gateway.clock.advance(5 * DAY);
    }
    expect(statuses).to.deep.equal([200, 200, 200, 200, 200, 200, 401]);
  });

  it('[S17] an unused refresh token dies after seven days', async () => {
    const tokens = await logIn(gateway, person.username);
    gateway.clock.advance(7 * DAY + 1);
    const late = await refresh(tokens.refresh);
    expect([late.status, late.body['code']]).to.deep.equal([401, 'token_expired']);
  });

  it('[S17] a fresh refresh token never outlives the session, nor does it say so', async () => {
    let { refresh: current } = await logIn(gateway, person.username);
    const lives = [];
    for (let day = 5; day < 30; day += 5) {
      gateway.clock.advance(5 * DAY);
      const { body } = await refresh(current);
      current = String(body['refresh_token']);
      lives.push(Math.round(Number(body['refresh_expires_in']) / 86_400));
    }
    const [stored] = await gateway.db.sql<{ outlives: boolean }>(
      `SELECT bool_or(t.expires_at > s.expires_at) AS outlives FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id`,
    );
    expect([lives, stored]).to.deep.equal([[7, 7, 7, 7, 5], { outlives: false }]);
  });

  it('[S18] of refreshes racing a logout none leaves a live token', async () => {
    for (let round = 0; round < 5; round += 1) {
      const tokens = await logIn(gateway, person.username);
      const race = [
        refresh(tokens.refresh),
        call(gateway, '/auth/logout', { method: 'POST', bearer: tokens.access }),
        refresh(tokens.refresh),
      ];
      const [one, , two] = await Promise.all(race);
      for (const { body } of [one!, two!].filter((answer) => answer.status === 200)) {
        const me = await call(gateway, '/auth/me', { bearer: String(body['access_token']) });
        const again = await refresh(String(body['refresh_token']));
        expect([me.status, again.status]).to.deep.equal([401, 401]);
      }
    }
  });

  it('[S22] a disabled person fails at once on HTTP, refresh, login and the open socket', async () => {
    const tokens = await logIn(gateway, person.username);
    const socket = await openSocket(tokens.access);
    const request = { method: 'PATCH', json: { disabled: true }, key: ADMIN_KEY };
    await call(gateway, `/api/v1/admin/users/${person.id}`, request);
    const me = await call(gateway, '/auth/me', { bearer: tokens.access });
    const again = await refresh(tokens.refresh);
    const login = await logIn(gateway, person.username);
    expect([me.status, again.status, login.access]).to.deep.equal([401, 401, 'undefined']);
    expect(socket.closed).to.deep.equal(['revoked']);
  });

  it('[S22] a disabled client loses its tokens and sockets and gets no new ones', async () => {
    const client = await createClient(gateway);
    const tokens = await clientTokens(gateway, client);
    const socket = await openSocket(tokens.access);
    const request = { method: 'PATCH', json: { disabled: true }, key: ADMIN_KEY };
    await call(gateway, `/api/v1/admin/oauth-clients/${client.id}`, request);
    const me = await call(gateway, '/auth/me', { bearer: tokens.access });
    const next = await token(gateway, client);
    expect([me.status, next.status, next.body['error']]).to.deep.equal([401, 401, 'invalid_client']);
    expect(socket.closed).to.deep.equal(['revoked']);
  });

  it('[S22] a token request that races the disabling leaves no live session behind', async () => {
    const client = await createClient(gateway);
    const requests = Array.from({ length: 12 }, () => token(gateway, client));
    await gateway.identity.revoke(
      { tenantId: 1, kind: 'client', id: client.id },
      { reason: 'test', by: null },
    );
    await Promise.all(requests);
    const live = await gateway.db.sql(
      'SELECT 1 FROM sessions WHERE principal_id = $1 AND revoked_at IS NULL',
      [client.id],
    );
    expect(live).to.have.length(0);
  });

  it('[S56] a session revoked between the check and the registration closes the socket there', async () => {
    const { access } = await logIn(gateway, person.username);
    const principal = await gateway.identity.authenticate(access);
    const target = { tenantId: 1, kind: 'session', id: principal.sessionId } as const;
    await gateway.identity.revoke(target, { reason: 'test', by: null });
    const closed: string[] = [];
    gateway.identity.sockets.register({
      sessionId: principal.sessionId,
      principalKey: principalKey(principal),
      tenantId: 1,
      close: (code) => void closed.push(code),
    });
    expect([closed, gateway.identity.sockets.size]).to.deep.equal([['revoked'], 0]);
  });

  it('[S58] a demotion takes effect at the next event of an open socket, and the socket is told', async () => {
    const { access } = await logIn(gateway, person.username);
    const principal = await gateway.identity.authenticate(access);
    const socket = await openSocket(access);
    const patch = (json: unknown): Promise<Answer> =>
      call(gateway, `/api/v1/admin/users/${person.id}`, { method: 'PATCH', json, key: ADMIN_KEY });
    await patch({ partitions: ['branch-1', 'branch-2:read'] });
    const granted = await gateway.identity.current(principal);
    await patch({ partitions: [] });
    const demoted = await gateway.identity.current(principal);
    expect([[...granted.grants.read], [...granted.grants.write]]).to.deep.equal([
      ['branch-1', 'branch-2'],
      ['branch-1'],
    ]);
    expect([demoted.grants.read.size, socket.changes >= 2, socket.closed]).to.deep.equal([0, true, []]);
  });

  it('[S57] a session revoked on one node is refused on another, with every hint lost', async () => {
    const deaf: Hints = {
      publish: () => undefined,
      subscribe: () => () => undefined,
      close: () => Promise.resolve(),
    };
    const other = await startGateway({ db: gateway.db, hints: deaf, env: { PUBLIC_URL: gateway.url } });
    const { access } = await logIn(gateway, person.username);
    const principal = await other.identity.authenticate(access);
    const closed: number[] = [];
    other.identity.sockets.register({
      sessionId: principal.sessionId,
      principalKey: principalKey(principal),
      tenantId: 1,
      close: () => void closed.push(Date.now()),
    });
    await call(gateway, '/auth/logout', { method: 'POST', bearer: access });
    const at = Date.now();
    while (closed.length === 0 && Date.now() - at < 10_000)
      await new Promise((resolve) => setTimeout(resolve, 50));
    const failure = await other.identity
      .authenticate(access)
      .catch((error: unknown) => (error as { code: string }).code);
    await other.close();
    expect([closed.length, failure]).to.deep.equal([1, 'revoked']);
  });

  it('[S57] a node that starts after the revocation refuses the token as well', async () => {
    const { access } = await logIn(gateway, person.username);
    await call(gateway, '/auth/logout', { method: 'POST', bearer: access });
    const other = await startGateway({ db: gateway.db, env: { PUBLIC_URL: gateway.url } });
    const { status } = await call(other, '/auth/me', { bearer: access });
    await other.close();
    expect(status).to.equal(401);
  });

  it('dead sessions, codes and sign-ups are cleaned away, live ones stay', async () => {
    const { startMaintenance } = await import('../../server/auth/maintenance.ts');
    const { db, box, config, log, keys } = gateway.identity.core;
    const old = await logIn(gateway, person.username);
    gateway.clock.advance(8 * DAY + 60_000);
    const fresh = await logIn(gateway, person.username);
    const maintenance = startMaintenance({ db, box, config, log, keys, clock: gateway.clock });
    await maintenance.cleanUp();
    maintenance.close();
    const rows = await db.sql('SELECT 1 FROM sessions');
    expect([
      rows.length,
      (await refresh(fresh.refresh)).status,
      (await refresh(old.refresh)).status,
    ]).to.deep.equal([1, 200, 401]);
  });

  it('[S44] a secret that is over is cleaned away, and its client lists it no more', async () => {
    const path = '/api/v1/admin/oauth-clients';
    const client = await createClient(gateway);
    await call(gateway, `${path}/${client.id}/secrets`, { json: { overlapSeconds: 60 }, key: ADMIN_KEY });
    const { startMaintenance } = await import('../../server/auth/maintenance.ts');
    const { db, box, config, log, keys, clock } = gateway.identity.core;
    const maintenance = startMaintenance({ db, box, config, log, keys, clock });
    const cleaned = async (): Promise<number | undefined> => {
      await maintenance.cleanUp();
      const { body } = await call(gateway, path, { key: ADMIN_KEY });
      const clients = body['clients'] as { id: string; secrets: unknown[] }[];
      return clients.find(({ id }) => id === client.id)?.secrets.length;
    };
    const during = await cleaned();
    gateway.clock.advance(DAY + 61_000);
    const after = await cleaned();
    maintenance.close();
    expect([during, after]).to.deep.equal([2, 1]);
  });
});
