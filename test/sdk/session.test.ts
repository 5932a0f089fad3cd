import type { IncomingMessage, Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { createMachineSession, createSession } from '../../sdk/index.ts';
import type { ApiError, SessionStorage, StoredSession } from '../../sdk/index.ts';

interface Call {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
}
type Answer = { status?: number; headers?: Record<string, string>; body?: unknown };

let server: Server;
let baseUrl = '';
let calls: Call[] = [];
let answer: (call: Call) => Answer;
let clock = 0;

const login = (n: number): Answer => ({
  body: {
    success: true,
    user: { id: 7, username: 'ana' },
    access_token: `access-${n}`,
    expires_in: 900,
    refresh_token: `refresh-${n}`,
  },
});
const problem = (status: number, code: string, extra: object = {}): Answer => ({
  status,
  body: { status, code, message: `because ${code}`, ...extra },
});
const failureOf = (promise: Promise<unknown>): Promise<ApiError> =>
  promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: unknown) => error as ApiError,
  );

function storageOf(stored?: StoredSession): SessionStorage & { stored: StoredSession | undefined } {
  const storage = {
    stored,
    load: () => Promise.resolve(storage.stored),
    save: (session: StoredSession) => Promise.resolve(void (storage.stored = session)),
    clear: () => Promise.resolve(void (storage.stored = undefined)),
  };
  return storage;
}

describe('sdk sessions', () => {
  before(async () => {
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (data: Buffer) => (body += data.toString()));
      request.on('end', () => {
        const call = {
          method: request.method ?? '',
          path: request.url ?? '',
          headers: request.headers,
          body,
        };
        calls.push(call);
        const { status = 200, headers, body: json } = answer(call);
        response.writeHead(status, { 'content-type': 'application/json', ...headers });
        response.end(json === undefined ? '' : JSON.stringify(json));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });
  after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  beforeEach(() => {
    calls = [];
    clock = 0;
    answer = () => login(calls.length);
  });
  const now = (): number => clock;

  it('logs in, keeps the refresh token in its storage and the access token in memory', async () => {
    const storage = storageOf();
    const session = createSession({ baseUrl, storage, now });
    const user = await session.login({ username: 'ana', password: 'secret' });
    expect(user).to.deep.equal({ id: '7', username: 'ana' });
    expect(await session.getAccessToken()).to.equal('access-1');
    expect(storage.stored?.refreshToken).to.equal('refresh-1');
    expect(calls.map((call) => call.path)).to.deep.equal(['/api/login']);
  });

  it('refreshes before expiry, once for all who ask at the same moment', async () => {
    const storage = storageOf();
    const session = createSession({ baseUrl, storage, now });
    await session.login({ email: 'a@b.c', password: 'secret' });
    clock = 850_000;
    const tokens = await Promise.all([1, 2, 3].map(() => session.getAccessToken()));
    expect(tokens).to.deep.equal(['access-2', 'access-2', 'access-2']);
    expect(calls.map((call) => [call.path, call.body])[1]).to.deep.equal([
      '/auth/refresh',
      '{"refresh_token":"refresh-1"}',
    ]);
    expect(storage.stored?.refreshToken).to.equal('refresh-2');
  });

  it('gives out a token that is still good while the gateway cannot refresh it', async () => {
    const session = createSession({ baseUrl, now });
    await session.login({ username: 'ana', password: 'secret' });
    clock = 850_000;
    answer = () => problem(503, 'unavailable');
    expect(await session.getAccessToken()).to.equal('access-1');
    clock = 901_000;
    expect(await failureOf(session.getAccessToken())).to.include({ code: 'unavailable', status: 503 });
  });

  it('restore takes up the stored session; one that was revoked is forgotten', async () => {
    const storage = storageOf({ refreshToken: 'kept', user: { id: '7', username: 'ana' } });
    expect(await createSession({ baseUrl, storage, now }).restore()).to.include({ username: 'ana' });
    answer = () => problem(401, 'revoked');
    expect(await createSession({ baseUrl, storage, now }).restore()).to.equal(undefined);
    expect(storage.stored).to.equal(undefined);
    expect(await createSession({ baseUrl, storage, now }).restore()).to.equal(undefined);
  });

  for (const [status, code] of [
    [400, 'invalid_request'],
    [403, 'address_refused'],
    [403, 'origin_refused'],
    [403, 'forbidden'],
    [401, 'http_401'],
    [429, 'rate_limited'],
    [503, 'unavailable'],
  ] as const)
    it(`a session is kept when its refresh is answered ${status} ${code}: that may pass`, async () => {
      const storage = storageOf({ refreshToken: 'kept' });
      answer = () => problem(status, code);
      expect(await failureOf(createSession({ baseUrl, storage, now }).restore())).to.include({ code });
      expect(storage.stored?.refreshToken).to.equal('kept');
    });

  it('restore does not forget the session because the gateway is away', async () => {
    const storage = storageOf({ refreshToken: 'kept' });
    const session = createSession({ baseUrl: 'http://127.0.0.1:9', storage, now });
    const error = await failureOf(session.restore());
    expect(error).to.include({ status: 0, code: 'unreachable' });
    expect(error.message).to.contain('http://127.0.0.1:9 cannot be reached');
    expect(storage.stored?.refreshToken).to.equal('kept');
  });

  it('in a browser: marks its calls, and neither sends nor stores a refresh token', async () => {
    const session = createSession({ baseUrl, web: true, now });
    await session.login({ username: 'ana', password: 'secret' });
    await session.getAccessToken({ forceRefresh: true });
    expect(calls.map((call) => call.headers['x-sluice-web'])).to.deep.equal(['1', '1']);
    expect(calls[1]).to.include({ path: '/auth/refresh', body: '{}' });
  });

  it('logout ends it on both sides and tells its listeners', async () => {
    const storage = storageOf();
    const session = createSession({ baseUrl, storage, now });
    const seen: (string | undefined)[] = [];
    session.onChange((user) => seen.push(user?.username));
    await session.login({ username: 'ana', password: 'secret' });
    await session.logout();
    expect(calls[1]).to.deep.include({ path: '/auth/logout' });
    expect(calls[1]?.headers.authorization).to.equal('Bearer access-1');
    expect([seen, storage.stored, session.user]).to.deep.equal([['ana', undefined], undefined, undefined]);
    expect(await failureOf(session.getAccessToken())).to.include({ code: 'unauthenticated' });
  });

  it('in a browser: a logout that the gateway did not hear is said again by the cookie alone', async () => {
    const session = createSession({ baseUrl, web: true, now });
    await session.login({ username: 'ana', password: 'secret' });
    answer = () => problem(503, 'unavailable');
    expect(await failureOf(session.logout())).to.include({ code: 'unavailable' });
    expect([session.user, calls.at(-1)?.headers.authorization]).to.deep.equal([undefined, 'Bearer access-1']);
    answer = () => ({ body: { success: true } });
    await session.logout();
    expect(calls.slice(1).map((call) => call.path)).to.deep.equal(['/auth/logout', '/auth/logout']);
    expect(calls[2]?.headers).to.include({ 'x-sluice-web': '1' }).and.not.to.have.property('authorization');
  });

  it('logs in by another way: the second step, a passkey', async () => {
    const session = createSession({ baseUrl, now });
    answer = () => ({ status: 401, body: { code: 'mfa_required', message: 'm', mfa_token: 'step' } });
    const due = await failureOf(session.login({ username: 'ana', password: 'secret' }));
    expect(due).to.deep.include({
      code: 'mfa_required',
      extensions: { code: 'mfa_required', message: 'm', mfa_token: 'step' },
    });
    answer = () => login(2);
    const user = await session.loginBy('/api/login/mfa', { mfa_token: 'step', code: '123456' });
    expect(user).to.include({ username: 'ana' });
    expect(await session.getAccessToken()).to.equal('access-2');
  });

  it('renews in turn, and takes what another page of the browser was given', async () => {
    const session = createSession({
      baseUrl,
      web: true,
      now,
      inTurn: () =>
        Promise.resolve({
          access_token: 'of another page',
          expires_in: 900,
          user: { id: 7, username: 'ana' },
        }),
    });
    expect(await session.restore()).to.include({ username: 'ana' });
    expect(await session.getAccessToken()).to.equal('of another page');
    expect(calls).to.deep.equal([]);
  });

  it('forgets without asking the gateway', async () => {
    const session = createSession({ baseUrl, now });
    await session.login({ username: 'ana', password: 'secret' });
    await session.forget();
    expect([session.user, calls.length]).to.deep.equal([undefined, 1]);
    expect(await failureOf(session.getAccessToken())).to.include({ code: 'unauthenticated' });
  });

  for (const code of ['invalid_credentials', 'mfa_required', 'reauthentication_required'])
    it(`does not renew the token, nor ask twice, for ${code}`, async () => {
      const session = createSession({ baseUrl, now });
      await session.login({ username: 'ana', password: 'secret' });
      answer = () => problem(401, code);
      expect(await failureOf(session.request('POST', '/api/password/change', {}))).to.include({ code });
      expect(calls.map((call) => call.path)).to.deep.equal(['/api/login', '/api/password/change']);
    });

  it('signup, verification and resending', async () => {
    answer = () => ({ status: 201, body: { success: true, message: 'look into your mail', user_id: 9 } });
    const session = createSession({ baseUrl, now });
    const signed = await session.signup({ username: 'ana', email: 'a@b.c', password: 'secret' });
    expect(signed).to.deep.equal({ message: 'look into your mail', userId: '9' });
    await session.verifyEmail({ email: 'a@b.c', code: '123456' });
    await session.resendVerification({ email: 'a@b.c' });
    expect(calls.map((call) => call.path)).to.deep.equal([
      '/api/signup',
      '/api/verify-email',
      '/api/resend-verification',
    ]);
  });

  it('a refused token is refreshed once, then the call is made again', async () => {
    const session = createSession({ baseUrl, now });
    await session.login({ username: 'ana', password: 'secret' });
    answer = (call) => {
      if (call.path === '/auth/refresh') return login(2);
      const fresh = call.headers.authorization === 'Bearer access-2';
      return fresh ? { body: { id: 7, username: 'ana', role: 'admin' } } : problem(401, 'token_expired');
    };
    expect(await session.me()).to.deep.equal({ id: '7', username: 'ana', role: 'admin' });
  });

  it('reads problem+json: code, message, faults, Retry-After, and what only one refusal has', async () => {
    const errors = [{ path: 'email', message: 'not an address' }];
    answer = () => ({
      ...problem(429, 'rate_limited', { errors, mfa_token: 'm' }),
      headers: { 'retry-after': '3' },
    });
    const error = await failureOf(createSession({ baseUrl, now }).login({ username: 'a', password: 'b' }));
    expect(error).to.include({
      status: 429,
      code: 'rate_limited',
      retryAfterMs: 3_000,
      message: 'because rate_limited',
    });
    expect(error.errors).to.deep.equal(errors);
    expect(error.extensions['mfa_token']).to.equal('m');
  });

  it('machines: client_credentials with Basic, cached, renewed before expiry, one request at a time', async () => {
    answer = () => ({ body: { access_token: `m${calls.length}`, token_type: 'Bearer', expires_in: 600 } });
    const session = createMachineSession({
      baseUrl,
      clientId: 'a:b',
      clientSecret: 'c d',
      scope: 'sync:read',
      now,
    });
    expect(await Promise.all([session.getAccessToken(), session.getAccessToken()])).to.deep.equal([
      'm1',
      'm1',
    ]);
    expect(calls[0]?.headers.authorization).to.equal(`Basic ${btoa('a%3Ab:c+d')}`);
    expect(calls[0]?.body).to.equal('grant_type=client_credentials&scope=sync%3Aread');
    clock = 545_000;
    expect(await session.getAccessToken()).to.equal('m2');
    expect(await session.getAccessToken({ forceRefresh: true })).to.equal('m3');
  });

  it('machines: an OAuth refusal has its code', async () => {
    answer = () => ({ status: 401, body: { error: 'invalid_client', error_description: 'wrong secret' } });
    const session = createMachineSession({ baseUrl, clientId: 'a', clientSecret: 'b', now });
    expect(await failureOf(session.getAccessToken())).to.include({
      code: 'invalid_client',
      message: 'wrong secret',
    });
  });
});
