import { expect } from 'chai';
import {
  auditRows,
  call,
  createClient,
  createPerson,
  logIn,
  mailsTo,
  signUp,
  token,
} from './support/client.ts';
import type { Answer, Call } from './support/client.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

const EMAIL = 'new@example.com';

describe('invitations', () => {
  let gateway: Gateway;
  const start = async (env: Record<string, string> = {}): Promise<void> => {
    gateway = await startGateway({ env });
  };
  beforeEach(() => start());
  afterEach(() => gateway.close());
  const invite = (json: object = {}, by: Call = { key: ADMIN_KEY }): Promise<Answer> =>
    call(gateway, '/api/v1/admin/invitations', {
      json: { email: EMAIL, role: 'operator', partitions: ['p1'], ...json },
      ...by,
    });
  const tokenTo = async (email = EMAIL): Promise<string> =>
    /\/invite#(\S+)/.exec((await mailsTo(gateway, email))[0]?.text ?? '')?.[1] ?? 'none';
  const accept = (given: string, username = 'newcomer', more: object = {}): Promise<Answer> =>
    call(gateway, '/api/invitations/accept', {
      json: { token: given, username, password: PASSWORD, ...more },
    });
  const look = (given: string): Promise<Answer> =>
    call(gateway, '/api/invitations/look', { json: { token: given } });
  const list = async (): Promise<Record<string, unknown>[]> =>
    (await call(gateway, '/api/v1/admin/invitations', { key: ADMIN_KEY })).body['invitations'] as Record<
      string,
      unknown
    >[];
  const patchUser = (id: string, json: unknown): Promise<Answer> =>
    call(gateway, `/api/v1/admin/users/${id}`, { method: 'PATCH', json, key: ADMIN_KEY });
  const admin = async (): Promise<{ id: string; access: string }> => {
    const { id, username } = await createPerson(gateway);
    await patchUser(id, { role: 'admin' });
    return { id, access: (await logIn(gateway, username)).access };
  };

  it('are mailed as a link, looked at, and accepted: a verified account with that role and those partitions', async () => {
    await createPerson(gateway);
    const made = await invite();
    const given = await tokenTo();
    const seen = await look(given);
    const accepted = await accept(given);
    const { access } = await logIn(gateway, 'newcomer');
    const me = await call(gateway, '/auth/permissions', { bearer: access });
    expect([made.status, accepted.status]).to.deep.equal([201, 201]);
    expect(made.text).not.to.include('siv_');
    expect(made.body['invitation']).to.include({ email: EMAIL, role: 'operator', state: 'open' });
    expect(seen.body).to.include({ email: EMAIL, role: 'operator', tenant: new URL(gateway.url).host });
    expect(accepted.body).to.include({ username: 'newcomer' });
    expect(me.body).to.deep.include({ role: 'operator', partitions: { read: ['p1'], write: ['p1'] } });
    expect((await list())[0]).to.include({ state: 'accepted' });
  });

  it('work while sign-up is closed, and into a tenant of its own, where the account lives', async () => {
    await gateway.close();
    await start({ SIGNUP: 'closed' });
    const made = await call(gateway, '/api/v1/admin/tenants', { key: ADMIN_KEY, json: { name: 'Second' } });
    const { id: tenantId } = made.body['tenant'] as { id: number };
    await invite({ tenantId, role: 'owner', partitions: [] });
    const given = await tokenTo();
    expect((await look(given)).body).to.include({ tenant: 'Second', role: 'owner' });
    expect((await accept(given)).status).to.equal(201);
    const login = (json: object): Promise<Answer> =>
      call(gateway, '/api/login', { json: { username: 'newcomer', password: PASSWORD, ...json } });
    const there = await login({ tenant_id: tenantId });
    expect([(await login({})).status, there.status]).to.deep.equal([401, 200]);
    const bearer = String(there.body['access_token']);
    const me = await call(gateway, '/auth/me', { bearer });
    expect(me.body['user']).to.include({ tenant_id: tenantId, role: 'owner' });
    const reset = { email: EMAIL, tenant_id: tenantId };
    await call(gateway, '/api/password/forgot', { json: reset });
    const [mail] = await mailsTo(gateway, EMAIL);
    const code = /\b\d{6}\b/.exec(mail!.text)![0];
    const json = { ...reset, code, password: 'another otter 8 lamp' };
    expect((await call(gateway, '/api/password/reset', { json })).status).to.equal(200);
  });

  it('[S27] of ten parallel acceptances exactly one makes an account', async () => {
    await invite();
    const given = await tokenTo();
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => accept(given, `newcomer${i}`)));
    const people = await gateway.db.sql('SELECT 1 FROM users WHERE email = $1', [EMAIL]);
    const codes = answers.map(({ status, body }) => body['code'] ?? status).sort();
    expect(codes).to.deep.equal([201, ...Array<string>(9).fill('invalid_invitation')]);
    expect(people).to.have.length(1);
  });

  it('a username that is taken, or a password that is refused, leaves the invitation open', async () => {
    const { username } = await createPerson(gateway);
    await invite();
    const given = await tokenTo();
    const answers = [
      await accept(given, username.toUpperCase()),
      await accept(given, 'newcomer', { password: 'Password123!' }),
      await accept(given, 'newcomer', { password: 'newcomer' }),
      await accept(given),
    ];
    expect(answers.map(({ status, body }) => body['code'] ?? status)).to.deep.equal([
      'username_taken',
      'password_refused',
      'password_refused',
      201,
    ]);
  });

  it('[S28] are good for seven days, one use, and until they are withdrawn or made anew', async () => {
    const withdraw = async (): Promise<Answer> =>
      call(gateway, `/api/v1/admin/invitations/${String((await list())[0]!['id'])}`, {
        method: 'DELETE',
        key: ADMIN_KEY,
      });
    await invite();
    const first = await tokenTo();
    await invite();
    const second = await tokenTo();
    expect(first).not.to.equal(second);
    const made = await accept(first);
    expect((await withdraw()).status).to.equal(200);
    expect((await withdraw()).status).to.equal(404);
    const withdrawn = await accept(second);
    await invite();
    const third = await tokenTo();
    gateway.clock.advance(7 * 24 * 3_600_000 + 1_000);
    const late = await accept(third);
    expect([made, withdrawn, late].map(({ body }) => body['code'])).to.deep.equal(
      Array(3).fill('invalid_invitation'),
    );
    expect((await list()).map(({ state }) => state)).to.deep.equal(['expired', 'withdrawn', 'withdrawn']);
    expect((await look(third)).body['code']).to.equal('invalid_invitation');
  });

  for (const bad of [
    '',
    'siv_1_x',
    `siv_1_${'A'.repeat(43)}`,
    `siv_99_${'A'.repeat(43)}`,
    `srt_1_${'A'.repeat(43)}`,
  ])
    it(`[S29] the token ${JSON.stringify(bad.slice(0, 12))} is refused like any other`, async () => {
      expect([(await look(bad)).body['code'], (await accept(bad)).body['code']]).to.deep.equal(
        Array(2).fill('invalid_invitation'),
      );
    });

  it('[S54] give nothing that whoever invites does not have; an owner is invited by an owner alone', async () => {
    await createPerson(gateway);
    const limited = await createClient(gateway, { scopes: ['admin'], partitions: ['p1'] });
    const bearer = String((await token(gateway, limited)).body['access_token']);
    const { access } = await admin();
    const answers = [
      await invite({}, { bearer }),
      await invite({ partitions: ['p2'] }, { bearer }),
      await invite({ role: 'admin', partitions: [] }, { bearer }),
      await invite({ role: 'owner', partitions: [] }, { bearer: access }),
      await invite({ role: 'service' }),
      await invite({ role: 'nothing-like-it' }),
      await invite({ verified: true }),
    ];
    expect(answers.map(({ status, body }) => body['code'] ?? status)).to.deep.equal([
      201,
      'forbidden_partition',
      'forbidden_partition',
      'forbidden',
      'invalid_request',
      'invalid_request',
      'invalid_request',
    ]);
  });

  it('[S54] what is accepted is what was written down, whatever the acceptance says', async () => {
    await invite();
    const given = await tokenTo();
    const answers = [];
    for (const extra of [
      { role: 'owner' },
      { partitions: ['*'] },
      { email: 'x@example.com' },
      { tenantId: 2 },
    ])
      answers.push((await accept(given, 'newcomer', extra)).status);
    expect(answers).to.deep.equal([400, 400, 400, 400]);
  });

  const falls: [string, (id: string) => Promise<unknown>][] = [
    ['disabled', (id) => patchUser(id, { disabled: true })],
    ['demoted', (id) => patchUser(id, { role: 'member' })],
  ];
  for (const [what, fall] of falls)
    it(`[S58] are worth nothing once whoever made them is ${what}`, async () => {
      await createPerson(gateway);
      const { id, access } = await admin();
      expect((await invite({ role: 'admin' }, { bearer: access })).status).to.equal(201);
      const given = await tokenTo();
      await fall(id);
      const late = await accept(given);
      expect(late.body['code']).to.equal('invalid_invitation');
    });

  it('[S26] an address that has an account is not invited; one that gets it meanwhile keeps its account', async () => {
    const person = await createPerson(gateway);
    expect((await invite({ email: person.email.toUpperCase() })).body['code']).to.equal('already_exists');
    const pending = await signUp(gateway, { email: EMAIL });
    const code = /\b\d{6}\b/.exec((await mailsTo(gateway, EMAIL))[0]!.text)![0];
    await invite();
    const given = await tokenTo();
    await call(gateway, '/api/verify-email', { json: { username: pending.username, code } });
    expect((await accept(given)).body['code']).to.equal('already_exists');
  });

  it('[S26] a sign-up that waited for the address cannot be verified after the acceptance', async () => {
    const pending = await signUp(gateway, { email: EMAIL });
    const code = /\b\d{6}\b/.exec((await mailsTo(gateway, EMAIL))[0]!.text)![0];
    await invite();
    expect((await accept(await tokenTo())).status).to.equal(201);
    const json = { username: pending.username, code };
    expect((await call(gateway, '/api/verify-email', { json })).status).to.equal(400);
  });

  it('[S25] five an hour go to one address', async () => {
    const statuses = [];
    for (let i = 0; i < 6; i += 1) statuses.push((await invite()).status);
    expect(statuses).to.deep.equal([201, 201, 201, 201, 201, 429]);
  });

  it('[S23] [S61] leave one audit row each, refusals too; the token is in no log and in no table', async () => {
    await invite();
    const given = await tokenTo();
    await accept('siv_1_x');
    await accept(given);
    const rows = await auditRows(gateway, 'invitation.accepted');
    expect(rows.map(({ success, code }) => [success, code])).to.deep.equal([
      [false, 'invalid_invitation'],
      [true, null],
    ]);
    expect(await auditRows(gateway, 'invitation.created')).to.have.length(1);
    const tables = await Promise.all(
      ['audit_logs', 'invitations', 'jobs'].map((name) => gateway.db.sql(`SELECT * FROM ${name}`)),
    );
    expect(gateway.logged() + JSON.stringify(tables)).not.to.include(given);
  });

  it('[S32] the link comes from configuration, its token stands behind the #, and the tenant’s name is text', async () => {
    await gateway.close();
    await start({ PUBLIC_URL: 'https://sync.example.com' });
    const name = '<img src=x onerror=alert(1)> "A" & \'B\'\r\nBcc: x@example.com';
    const made = await call(gateway, '/api/v1/admin/tenants', { key: ADMIN_KEY, json: { name } });
    await invite({ tenantId: (made.body['tenant'] as { id: number }).id });
    const [mail] = (await mailsTo(gateway, EMAIL)) as { subject: string; text: string; html: string }[];
    expect(mail!.text).to.match(/https:\/\/sync\.example\.com\/invite#siv_\d+_[\w-]{43}/);
    expect(mail!.html).not.to.include('<img');
    expect(mail!.html).to.include('&lt;img src=x').and.include('&quot;A&quot; &amp; &#39;B&#39;');
    expect(mail!.subject).not.to.match(/[\r\n]/);
    for (const email of ['a@example.com\r\nBcc: b@example.com', 'a@example.com\n'])
      expect((await invite({ email })).status).to.equal(400);
  });

  it('[S63] of another tenant are neither seen nor withdrawn', async () => {
    const made = await call(gateway, '/api/v1/admin/tenants', { key: ADMIN_KEY, json: { name: 'Second' } });
    const { id: tenantId } = made.body['tenant'] as { id: number };
    const there = await invite({ tenantId });
    const { id } = there.body['invitation'] as { id: string };
    await createPerson(gateway);
    const { access } = await admin();
    const bearer = { bearer: access };
    const mine = await call(gateway, '/api/v1/admin/invitations', bearer);
    const named = await call(gateway, `/api/v1/admin/invitations?tenantId=${tenantId}`, bearer);
    const written = await invite({ tenantId }, bearer);
    const path = `/api/v1/admin/invitations/${id}`;
    const withdrawn = await call(gateway, path, { method: 'DELETE', ...bearer });
    expect(mine.body['invitations']).to.deep.equal([]);
    expect([named.status, written.status, withdrawn.status]).to.deep.equal([403, 403, 404]);
    expect((await look(await tokenTo())).status).to.equal(200);
  });
});
