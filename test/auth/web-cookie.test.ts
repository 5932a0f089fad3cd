import { expect } from 'chai';
import { call, createPerson } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { PASSWORD, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

describe('[S60] the browser cookie', () => {
  let gateway: Gateway;
  afterEach(() => gateway.close());
  const start = async (env: Record<string, string> = {}): Promise<Answer> => {
    gateway = await startGateway({ env });
    await createPerson(gateway, { username: 'ana' });
    return logIn({ 'x-sluice-web': '1', origin: env['PUBLIC_URL'] ?? gateway.url });
  };
  const logIn = (headers: Record<string, string>): Promise<Answer> =>
    call(gateway, '/api/login', { json: { username: 'ana', password: PASSWORD }, headers });
  const cookieOf = (answer: Answer): string => answer.headers.get('set-cookie')?.split(';')[0] ?? '';

  it('holds the refresh token out of reach of scripts and of other sites', async () => {
    const answer = await start();
    const cookie = answer.headers.get('set-cookie');
    expect(answer.body).to.have.property('access_token');
    expect(answer.body).not.to.have.property('refresh_token');
    expect(cookie).to.match(
      /^sluice_refresh=srt_1_[\w-]{43}; Max-Age=604800; Path=\/auth; HttpOnly; SameSite=Strict$/,
    );
  });

  it('is Secure when PUBLIC_URL is https', async () => {
    const answer = await start({ PUBLIC_URL: 'https://sync.example.com' });
    expect(answer.headers.get('set-cookie')).to.match(/; Secure$/);
  });

  it('refreshes and logs out, rotating and clearing itself', async () => {
    const login = await start();
    const headers = { 'x-sluice-web': '1', origin: gateway.url };
    const fresh = await call(gateway, '/auth/refresh', {
      method: 'POST',
      headers: { ...headers, cookie: cookieOf(login) },
    });
    const out = await call(gateway, '/auth/logout', {
      method: 'POST',
      headers: { ...headers, cookie: cookieOf(fresh) },
    });
    const me = await call(gateway, '/auth/me', { bearer: String(fresh.body['access_token']) });
    expect([fresh.status, out.status, me.status]).to.deep.equal([200, 200, 401]);
    expect(cookieOf(fresh)).not.to.equal(cookieOf(login));
    expect(fresh.body).not.to.have.property('refresh_token');
    expect(out.headers.get('set-cookie')).to.match(/^sluice_refresh=; Max-Age=0;/);
  });

  it('stays while its session could not be ended, so that the page can ask again', async () => {
    const login = await start();
    const headers = { 'x-sluice-web': '1', origin: gateway.url, cookie: cookieOf(login) };
    const leave = (): Promise<Answer> => call(gateway, '/auth/logout', { method: 'POST', headers });
    await gateway.db.sql('ALTER TABLE refresh_tokens RENAME TO refresh_tokens_away');
    const failed = await leave();
    await gateway.db.sql('ALTER TABLE refresh_tokens_away RENAME TO refresh_tokens');
    expect([failed.status, failed.headers.get('set-cookie')]).to.deep.equal([500, null]);
    const ended = await leave();
    expect(ended.headers.get('set-cookie')).to.match(/^sluice_refresh=; Max-Age=0;/);
    const me = await call(gateway, '/auth/me', { bearer: String(login.body['access_token']) });
    expect([ended.status, me.status]).to.deep.equal([200, 401]);
    const again = await leave();
    expect(again.headers.get('set-cookie')).to.match(/^sluice_refresh=; Max-Age=0;/);
  });

  it('is worth nothing without our header, without an origin, and from a foreign one', async () => {
    const login = await start();
    const cookie = cookieOf(login);
    const foreign = [
      'https://evil.example',
      'null',
      `${gateway.url}.evil.example`,
      gateway.url.replace('http', 'https'),
      'http://127.0.0.1:1',
    ];
    const requests: Record<string, string>[] = [
      { cookie },
      { cookie, origin: gateway.url },
      { cookie, 'x-sluice-web': '1' },
      ...foreign.map((origin) => ({ cookie, 'x-sluice-web': '1', origin })),
    ];
    for (const path of ['/auth/refresh', '/auth/logout']) {
      const answers = await Promise.all(
        requests.map((headers) => call(gateway, path, { method: 'POST', headers })),
      );
      expect(answers.map((answer) => answer.status)).to.deep.equal([
        401,
        401,
        ...Array.from({ length: 6 }, () => 403),
      ]);
    }
    const me = await call(gateway, '/auth/me', { bearer: String(login.body['access_token']) });
    expect(me.status).to.equal(200);
  });

  it('counts for nothing where bearer tokens are asked for', async () => {
    const login = await start();
    const headers = { cookie: cookieOf(login), 'x-sluice-web': '1', origin: gateway.url };
    expect((await call(gateway, '/auth/me', { headers })).status).to.equal(401);
  });

  it('tabs that refresh at once all stay logged in, with one successor', async () => {
    const login = await start();
    const headers = { 'x-sluice-web': '1', origin: gateway.url, cookie: cookieOf(login) };
    const tabs = await Promise.all(
      Array.from({ length: 5 }, () => call(gateway, '/auth/refresh', { method: 'POST', headers })),
    );
    expect(new Set(tabs.map((tab) => tab.status))).to.deep.equal(new Set([200]));
    expect(new Set(tabs.map(cookieOf)).size).to.equal(1);
  });
});
