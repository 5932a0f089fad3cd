import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Context } from 'koa';
import { createApp } from '../../server/app.ts';
import type { App } from '../../server/app.ts';
import type { Identity } from '../../server/auth/identity.ts';
import { parseConfig } from '../../server/config.ts';
import { createLogger } from '../../server/log.ts';
import { createOriginCheck } from '../../server/origins.ts';
import { isWebRequest } from '../../server/routes/web-session.ts';
import { createDatabase } from '../support/database.ts';

const HERE = ['http://localhost:8300', 'http://127.0.0.1:8300', 'http://[::1]:8300'];

/** What looks like this machine and is another place: any program may listen on it. */
const BESIDE = [
  'http://127.0.0.2:8300',
  'http://127.1:8300',
  'http://0.0.0.0:8300',
  'http://[::ffff:127.0.0.1]:8300',
  'http://localhost.:8300',
  'http://app.localhost:8300',
  'http://localhost',
  'http://localhost:8301',
  'https://localhost:8300',
  'HTTP://LOCALHOST:8300',
  'http://localhost:8300/',
  'null',
];

describe('origins of pages', () => {
  const config = parseConfig({ CORS_ORIGINS: 'https://shop.example.com/' });
  /** What sockets and CORS say of an origin, and what the routes with the cookie say. */
  const answers = (issuer: string, origin: string | undefined): [boolean, boolean] => {
    const identity = { core: { config, issuer: () => issuer } } as unknown as Identity;
    const headers: Record<string, string> = { 'X-Sluice-Web': '1', Origin: origin ?? '' };
    const ctx = { get: (name: string) => headers[name] ?? '' } as unknown as Context;
    let isWeb = false;
    try {
      isWeb = isWebRequest(identity, ctx);
    } catch {
      // origin_refused
    }
    return [createOriginCheck(config, () => issuer)(origin), isWeb];
  };

  for (const issuer of HERE) {
    it(`[S59] [S60] ${issuer} has three names, and no other`, () => {
      for (const origin of HERE) expect(answers(issuer, origin), origin).to.deep.equal([true, true]);
      for (const origin of BESIDE) expect(answers(issuer, origin), origin).to.deep.equal([false, false]);
    });
  }

  it('[S59] [S60] another address of this machine has one name: its own', () => {
    const issuer = 'http://127.0.0.2:8300';
    expect(answers(issuer, issuer)).to.deep.equal([true, true]);
    for (const origin of HERE) expect(answers(issuer, origin), origin).to.deep.equal([false, false]);
  });

  it('[S59] [S60] a public address has one name, and those of CORS_ORIGINS beside it', () => {
    const issuer = 'https://sync.example.com';
    for (const origin of [issuer, 'https://shop.example.com'])
      expect(answers(issuer, origin), origin).to.deep.equal([true, true]);
    for (const origin of ['https://evil.example', 'https://sync.example.com.evil.example', ...HERE])
      expect(answers(issuer, origin), origin).to.deep.equal([false, false]);
  });

  it('[S60] a request without an origin comes from no browser: bearer tokens may, the cookie may not', () => {
    expect(answers('http://127.0.0.1:8300', undefined)).to.deep.equal([true, false]);
  });
});

describe('a page of another origin', () => {
  let app: App;
  let dataDir: string;
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-cors-'));
    const config = parseConfig({
      ...{ DATABASE_URL: await createDatabase(), DATA_DIR: dataDir, PORT: '0' },
      ...{ CORS_ORIGINS: 'https://shop.example.com', RATE_LIMIT_MAX_REQUESTS: '1' },
    });
    app = await createApp({ config, log: createLogger('silent') });
  });
  after(async () => {
    await app.close();
    await rm(dataDir, { recursive: true, force: true });
  });
  const login = (origin: string): Promise<Response> =>
    fetch(`${app.url}/api/login`, {
      method: 'POST',
      headers: { origin, 'content-type': 'application/json' },
      body: JSON.stringify({ username: 'ana', password: 'wrong password' }),
    });
  const exposed = ({ headers }: Response): string[] =>
    (headers.get('access-control-expose-headers') ?? '').split(',').filter(Boolean);

  it('[S59] may read what every client must: how long to wait, what is left, the request, the challenge', async () => {
    const answers = [await login('https://shop.example.com'), await login('https://shop.example.com')];
    expect(answers.map(({ status }) => status)).to.deep.equal([401, 429]);
    expect(answers[1]!.headers.has('retry-after')).to.equal(true);
    for (const answer of answers)
      expect(exposed(answer)).to.have.members([
        ...['Retry-After', 'X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'],
        ...['X-Request-Id', 'DPoP-Nonce', 'WWW-Authenticate'],
      ]);
  });

  it('[S59] reads nothing when it is not of CORS_ORIGINS', async () => {
    const { headers } = await login('https://evil.example');
    expect(headers.get('access-control-allow-origin')).to.equal(null);
  });
});
