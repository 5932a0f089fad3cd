import { expect } from 'chai';
import { auditRows, call, createPerson, logIn, mailsTo } from './support/client.ts';
import type { Answer, Call, Person, Tokens } from './support/client.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

interface SessionRow {
  id: string;
  app: string | null;
  current: boolean;
  sockets: number;
  amr: string[];
}

describe('one’s own account', () => {
  let gateway: Gateway;
  let owner: Person;
  beforeEach(async () => {
    gateway = await startGateway();
    owner = await createPerson(gateway);
  });
  afterEach(() => gateway.close());
  const as = (tokens: Tokens, path: string, more: Call = {}): Promise<Answer> =>
    call(gateway, path, { bearer: tokens.access, ...more });
  const sessionsOf = async (tokens: Tokens): Promise<SessionRow[]> =>
    (await as(tokens, '/api/sessions')).body['sessions'] as SessionRow[];
  const isIn = async (tokens: Tokens): Promise<boolean> => (await as(tokens, '/auth/me')).status === 200;
  const openSocket = (sessionId: string, key = `user:${owner.id}`): string[] => {
    const closed: string[] = [];
    gateway.identity.sockets.register({
      sessionId,
      principalKey: key,
      tenantId: 1,
      close: (code) => void closed.push(code),
    });
    return closed;
  };
  const advance = (minutes: number): void => gateway.clock.advance(minutes * 60_000);

  describe('sessions', () => {
    it('are listed with place, program, way of proof and open sockets, and no secret', async () => {
      await call(gateway, '/api/login', {
        json: { username: owner.username, password: PASSWORD, app: 'phone' },
        headers: { 'user-agent': 'otter/1' },
      });
      const mine = await logIn(gateway, owner.username);
      const [first] = await sessionsOf(mine);
      openSocket(first!.id);
      openSocket(first!.id);
      const answer = await as(mine, '/api/sessions');
      const [current, phone] = answer.body['sessions'] as Record<string, unknown>[];
      expect(current).to.include({ current: true, sockets: 2, app: null });
      expect(phone).to.include({
        current: false,
        sockets: 0,
        app: 'phone',
        user_agent: 'otter/1',
        ip: '127.0.0.1',
      });
      expect(phone).to.have.all.keys(
        ...['id', 'app', 'ip', 'user_agent', 'created_at', 'last_used_at', 'expires_at', 'current'],
        ...['sockets', 'amr', 'scopes'],
      );
      expect(phone!['amr']).to.deep.equal(['pwd']);
      expect(answer.headers.get('cache-control')).to.equal('no-store');
    });

    it('[S17] that nothing can renew any more are not listed', async () => {
      await logIn(gateway, owner.username);
      advance(8 * 24 * 60);
      const mine = await logIn(gateway, owner.username);
      expect((await sessionsOf(mine)).map(({ current }) => current)).to.deep.equal([true]);
    });

    it('[S22] are ended one by one: tokens and sockets at once', async () => {
      const [mine, other] = [await logIn(gateway, owner.username), await logIn(gateway, owner.username)];
      const [{ id }] = (await sessionsOf(mine)).filter(({ current }) => !current) as [SessionRow];
      const closed = openSocket(id);
      const answer = await as(mine, `/api/sessions/${id}`, { method: 'DELETE' });
      expect([answer.status, await isIn(mine), await isIn(other), closed]).to.deep.equal([
        200,
        true,
        false,
        ['revoked'],
      ]);
      const again = await as(mine, `/api/sessions/${id}`, { method: 'DELETE' });
      expect(again.status).to.equal(404);
    });

    it('[S63] of others are out of reach, and look like none', async () => {
      const other = await createPerson(gateway);
      const [mine, theirs] = [await logIn(gateway, owner.username), await logIn(gateway, other.username)];
      const [{ id }] = (await sessionsOf(theirs)) as [SessionRow];
      const stolen = await as(mine, `/api/sessions/${id}`, { method: 'DELETE' });
      const unknown = await as(mine, `/api/sessions/${crypto.randomUUID()}`, { method: 'DELETE' });
      const { requestId: _, ...said } = stolen.body;
      expect([stolen.status, unknown.body]).to.deep.equal([
        404,
        { ...said, requestId: unknown.body['requestId'] },
      ]);
      expect([await isIn(theirs), (await sessionsOf(mine)).length]).to.deep.equal([true, 1]);
    });

    it('all but this one end', async () => {
      const all = [];
      for (let i = 0; i < 3; i += 1) all.push(await logIn(gateway, owner.username));
      const answer = await as(all[1]!, '/api/sessions/end-others', { method: 'POST' });
      expect(answer.body).to.include({ success: true, ended: 2 });
      expect(await Promise.all(all.map(isIn))).to.deep.equal([false, true, false]);
    });

    it('[S60] logging out everywhere ends them all, and takes the cookie of the page away', async () => {
      const all = [];
      for (let i = 0; i < 3; i += 1) all.push(await logIn(gateway, owner.username));
      const closed = openSocket((await sessionsOf(all[0]!))[0]!.id);
      const answer = await as(all[0]!, '/auth/logout-all', {
        method: 'POST',
        headers: { cookie: 'sluice_refresh=x' },
      });
      const cookieOnly = await call(gateway, '/auth/logout-all', {
        method: 'POST',
        headers: { cookie: 'sluice_refresh=x', 'x-sluice-web': '1', origin: gateway.url },
      });
      expect([answer.body['ended'], cookieOnly.status]).to.deep.equal([3, 401]);
      expect(answer.headers.get('set-cookie')).to.match(/sluice_refresh=; Max-Age=0/);
      expect(await Promise.all(all.map(isIn))).to.deep.equal([false, false, false]);
      expect(closed).to.deep.equal(['revoked']);
      const refused = await call(gateway, '/auth/refresh', { json: { refresh_token: all[1]!.refresh } });
      expect(refused.body['code']).to.equal('revoked');
    });

    it('[S61] leave one audit row an end, refusals too', async () => {
      const mine = await logIn(gateway, owner.username);
      await logIn(gateway, owner.username);
      const [{ id }] = (await sessionsOf(mine)).filter(({ current }) => !current) as [SessionRow];
      await as(mine, `/api/sessions/${id}`, { method: 'DELETE' });
      await as(mine, `/api/sessions/${id}`, { method: 'DELETE' });
      await as(mine, '/auth/logout-all', { method: 'POST' });
      const rows = await auditRows(gateway, 'session.revoked');
      expect(rows.map(({ success, principal }) => [success, principal])).to.deep.equal([
        [true, `user:${owner.id}`],
        [false, `user:${owner.id}`],
        [true, `user:${owner.id}`],
      ]);
    });
  });

  describe('profile', () => {
    it('is seen, and the name shown can be changed, as plain text', async () => {
      const mine = await logIn(gateway, owner.username);
      const patch = (json: unknown): Promise<Answer> => as(mine, '/api/profile', { method: 'PATCH', json });
      const changed = await patch({ display_name: '  Ana <b>Ōtter</b> 🦦 ' });
      const seen = await as(mine, '/api/profile');
      expect(seen.body['profile']).to.include({
        id: owner.id,
        username: owner.username,
        email: owner.email,
        display_name: 'Ana <b>Ōtter</b> 🦦',
        role: 'owner',
      });
      expect(changed.body['profile']).to.deep.equal(seen.body['profile']);
      expect(((await patch({ display_name: '' })).body['profile'] as Record<string, unknown>)['display_name'])
        .to.be.null;
      expect((await patch({ display_name: 'two\nlines' })).status).to.equal(400);
      expect((await patch({ display_name: 'x'.repeat(101) })).status).to.equal(400);
      expect(await auditRows(gateway, 'user.profile_changed')).to.have.length(2);
    });

    for (const extra of [
      { role: 'owner' },
      { partitions: ['*'] },
      { email: 'x@example.com' },
      { id: 'x' },
      { tenant_id: 2 },
    ])
      it(`[S54] takes no other field: ${Object.keys(extra)[0]!}`, async () => {
        const mine = await logIn(gateway, owner.username);
        const json = { display_name: 'x', ...extra };
        expect((await as(mine, '/api/profile', { method: 'PATCH', json })).status).to.equal(400);
      });
  });

  describe('deactivation', () => {
    const close = (tokens: Tokens): Promise<Answer> =>
      as(tokens, '/api/account/deactivate', { method: 'POST' });

    it('[S22] ends sessions and sockets, no login or reset brings it back, an administrator does', async () => {
      const person = await createPerson(gateway);
      const mine = await logIn(gateway, person.username);
      const closed = openSocket((await sessionsOf(mine))[0]!.id, `user:${person.id}`);
      const answer = await close(mine);
      expect([answer.status, await isIn(mine), closed]).to.deep.equal([200, false, ['revoked']]);
      await call(gateway, '/api/password/forgot', { json: { email: person.email } });
      const subjects = (await mailsTo(gateway, person.email)).map(({ subject }) => subject);
      expect(subjects[0]).to.equal('Your Sluice account is closed');
      const login = { json: { username: person.username, password: PASSWORD } };
      expect((await call(gateway, '/api/login', login)).body['code']).to.equal('invalid_credentials');
      await call(gateway, `/api/v1/admin/users/${person.id}`, {
        method: 'PATCH',
        json: { disabled: false },
        key: ADMIN_KEY,
      });
      expect((await call(gateway, '/api/login', login)).status).to.equal(200);
    });

    it('is refused to the last owner, also when all of them leave at once', async () => {
      const mine = await logIn(gateway, owner.username);
      expect((await close(mine)).status).to.equal(403);
      const others = [];
      for (let i = 0; i < 5; i += 1) others.push(await createPerson(gateway));
      await gateway.db.sql(`UPDATE users SET role = 'owner'`);
      const owners = [mine, ...(await Promise.all(others.map(({ username }) => logIn(gateway, username))))];
      const principals = await Promise.all(owners.map(({ access }) => gateway.identity.authenticate(access)));
      const { deactivate } = await import('../../server/auth/profile.ts');
      const outcomes = await Promise.allSettled(
        principals.map((one) => deactivate(gateway.identity.core, one, {})),
      );
      const left = await gateway.db.sql('SELECT 1 FROM users WHERE disabled_at IS NULL');
      expect([outcomes.filter(({ status }) => status === 'rejected').length, left.length]).to.deep.equal([
        1, 1,
      ]);
    });

    it('[S38] wants a proof that is at most ten minutes old', async () => {
      const person = await createPerson(gateway);
      const mine = await logIn(gateway, person.username);
      advance(10.1);
      const late = await close(mine);
      expect([late.status, late.body['code']]).to.deep.equal([401, 'reauthentication_required']);
      expect(await isIn(mine)).to.equal(true);
    });
  });

  it('[S16] none of it is for a session that was lent to a terminal', async () => {
    const mine = await logIn(gateway, owner.username);
    await gateway.db.sql(`UPDATE sessions SET client_id = 'sluice-cli'`);
    const me = await gateway.identity.authenticate(mine.access);
    gateway.identity.core.states.forgetSession(me.tenantId, me.sessionId);
    const answers = await Promise.all([
      as(mine, '/api/sessions'),
      as(mine, '/api/sessions/end-others', { method: 'POST' }),
      as(mine, '/auth/logout-all', { method: 'POST' }),
      as(mine, '/api/email-change', { json: { new_email: 'thief@example.com' } }),
      as(mine, '/api/account/deactivate', { method: 'POST' }),
    ]);
    expect(answers.map(({ status }) => status)).to.deep.equal([403, 403, 403, 403, 403]);
  });

  it('none of it is for machines', async () => {
    const key = { key: ADMIN_KEY };
    const answers = await Promise.all([
      call(gateway, '/api/sessions', key),
      call(gateway, '/api/profile', key),
      call(gateway, '/auth/logout-all', { method: 'POST', ...key }),
      call(gateway, '/api/account/deactivate', { method: 'POST', ...key }),
      call(gateway, '/api/password/change', {
        json: { current_password: PASSWORD, new_password: 'long enough otter' },
        ...key,
      }),
    ]);
    expect(answers.map(({ status }) => status)).to.deep.equal([403, 403, 403, 403, 403]);
  });
});
