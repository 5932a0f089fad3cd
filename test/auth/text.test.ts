import { expect } from 'chai';
import { call, createPerson } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

/** PostgreSQL stores neither; unpaired surrogates survive JSON only. */
const BAD = ['a\0b', 'a\ud800b', '\udc00'];

describe('text that cannot be stored', () => {
  let gateway: Gateway;
  before(async () => (gateway = await startGateway({ env: { AUTH_FAILURE_LIMIT_ADDRESS: '1000' } })));
  after(() => gateway.close());
  const post = (path: string, json: unknown): Promise<Answer> =>
    call(gateway, path, { json, ...(path.includes('/admin/') ? { key: ADMIN_KEY } : {}) });

  const bodies: [string, string, (bad: string) => unknown][] = [
    ['login by username', '/api/login', (username) => ({ username, password: PASSWORD })],
    ['login by e-mail', '/api/login', (bad) => ({ email: `${bad}@example.com`, password: PASSWORD })],
    ['login of an app', '/auth/login', (app) => ({ username: 'text-ana', password: PASSWORD, app })],
    ['verification by username', '/api/verify-email', (username) => ({ username, code: '123456' })],
    ['verification by e-mail', '/api/verify-email', (email) => ({ email, code: '123456' })],
    ['a new code', '/api/resend-verification', (bad) => ({ email: `${bad}@example.com` })],
    ['sign-up', '/api/signup', (username) => ({ username, email: 't@example.com', password: PASSWORD })],
    ['the name of a client', '/api/v1/admin/oauth-clients', (name) => ({ name })],
    ['a partition', '/api/v1/admin/oauth-clients', (bad) => ({ name: 'x', partitions: [bad] })],
    ['the name of a tenant', '/api/v1/admin/tenants', (name) => ({ name })],
  ];
  for (const [title, path, bodyOf] of bodies) {
    it(`is refused as invalid_request in ${title}`, async () => {
      if (path === '/auth/login') await createPerson(gateway, { username: 'text-ana' });
      const answers = await Promise.all(BAD.map((bad) => post(path, bodyOf(bad))));
      const outcomes = answers.map(({ status, body }) => [status, body['code']]);
      expect(outcomes).to.deep.equal(BAD.map(() => [400, 'invalid_request']));
    });
  }

  it('[S33] usernames with letters or marks that nobody sees are refused', async () => {
    const unseen = [
      'a\u034fna',
      'ana\ufe0f',
      'ana\u{e0101}',
      'ana\u1160',
      'ana\u3164',
      '\u115f\u1160',
      'ana\u17b4',
      'ana\u180b',
    ];
    const answers = [];
    for (const username of unseen)
      answers.push(await post('/api/signup', { username, email: 'unseen@example.com', password: PASSWORD }));
    expect(answers.map(({ body }) => body['code'])).to.deep.equal(unseen.map(() => 'invalid_request'));
    // marks that are seen belong to names
    const seen = await post('/api/signup', {
      username: 'Zoë-ნინო',
      email: 'seen@example.com',
      password: PASSWORD,
    });
    expect(seen.status).to.equal(201);
  });

  it('is refused as invalid_request in the filters of the audit log', async () => {
    const answers = await Promise.all(
      ['principal=%00', 'action=a%00'].map((query) =>
        call(gateway, `/audit/logs?${query}`, { key: ADMIN_KEY }),
      ),
    );
    expect(answers.map(({ body }) => body['code'])).to.deep.equal(['invalid_request', 'invalid_request']);
  });

  it('[S51] and moments that no database can tell are refused as well, where they bound a list', async () => {
    const answers = [];
    for (const path of ['/audit/logs', '/auth/stats'])
      for (const moment of ['from=0000-01-01T00:00:00Z', 'to=9999-12-31T23:59:59-23:59', 'to=-1', 'from=x'])
        answers.push(await call(gateway, `${path}?${moment}`, { key: ADMIN_KEY }));
    expect(answers.map(({ body }) => body['code'])).to.deep.equal(answers.map(() => 'invalid_request'));
    const far = 'from=2030-01-01T00:00:00%2B23:59';
    expect((await call(gateway, `/audit/logs?${far}`, { key: ADMIN_KEY })).status).to.equal(200);
  });

  it('is refused in the OAuth form in a client id, in the body or the header', async () => {
    const grant = 'grant_type=client_credentials';
    const basic = `Basic ${Buffer.from('slc_1_%00:secret').toString('base64')}`;
    const answers = [
      await call(gateway, '/oauth/token', { form: `${grant}&client_id=slc_1_%00&client_secret=x` }),
      await call(gateway, '/oauth/token', { form: grant, headers: { authorization: basic } }),
      await call(gateway, '/oauth/revoke', { form: 'token=%00&client_id=slc_1_x&client_secret=x' }),
    ];
    const outcomes = answers.map(({ status, body }) => [status, body['error']]);
    expect(outcomes).to.deep.equal(answers.map(() => [400, 'invalid_request']));
  });

  it('[S51] a body that is not packed as it says is the caller’s fault, on every route', async () => {
    const send = async (path: string, type: string, encoding: string): Promise<unknown[]> => {
      const headers = { 'content-type': type, 'content-encoding': encoding };
      const { status, body } = await call(gateway, path, { form: 'garbage', headers });
      return [status, body['error'] ?? body['code']];
    };
    const outcomes = [];
    for (const encoding of ['gzip', 'deflate'])
      outcomes.push(
        await send('/api/login', 'application/json', encoding),
        await send('/oauth/token', 'application/x-www-form-urlencoded', encoding),
      );
    expect(outcomes).to.deep.equal(Array(4).fill([400, 'invalid_request']));
    expect(gateway.logged()).not.to.include('request failed');
  });

  it('is refused in a login that comes by a socket', async () => {
    const attempt = gateway.identity.logIn({ name: 'a\0b', password: PASSWORD }, { ip: '192.0.2.7' });
    const code = await attempt.catch((error: unknown) => (error as { code: string }).code);
    expect(code).to.equal('invalid_request');
  });
});
