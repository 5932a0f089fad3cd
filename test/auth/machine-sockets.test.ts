import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { expect } from 'chai';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import { io } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import { createApp } from '../../server/app.ts';
import type { App } from '../../server/app.ts';
import { parseConfig } from '../../server/config.ts';
import { createLogger } from '../../server/log.ts';
import { until } from '../support/sync-gateway.ts';
import { createDatabase } from '../support/database.ts';
import { call, createClient, createPerson, logIn } from './support/client.ts';
import type { Answer, Client } from './support/client.ts';
import { ADMIN_KEY } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

interface Refusal {
  code: string;
  dpopNonce?: string;
}

/** The whole app behind a proxy that is trusted, so that a test can come from wherever it says. */
describe('machines and sockets', () => {
  let app: App;
  let gateway: Gateway;
  let dataDir: string;
  const lines: string[] = [];
  const sockets: Socket[] = [];
  before(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sluice-machines-'));
    const config = parseConfig({
      DATABASE_URL: await createDatabase(),
      DATA_DIR: dataDir,
      PORT: '0',
      INTERNAL_API_KEY: ADMIN_KEY,
      RATE_LIMIT_MAX_REQUESTS: '1000',
      TRUST_PROXY: 'true',
    });
    const log = createLogger(
      'trace',
      sink((text) => lines.push(text)),
    );
    app = await createApp({ config, log, console: sink(() => undefined) });
    gateway = { ...app, clock: Date.now, logged: () => lines.join('') } as unknown as Gateway;
  });
  afterEach(() => sockets.splice(0).forEach((socket) => socket.close()));
  after(async () => {
    await app.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  const open = (namespace: string, auth: Record<string, unknown>, ip = '192.0.2.7'): Socket => {
    const options = { auth, transports: ['websocket'], reconnection: false, forceNew: true };
    const socket = io(app.url + namespace, { ...options, extraHeaders: { 'x-forwarded-for': ip } });
    sockets.push(socket);
    return socket;
  };
  /** Undefined: it is in. */
  const outcomeOf = (socket: Socket): Promise<Refusal | undefined> =>
    new Promise((resolve) => {
      socket.on('connect', () => resolve(undefined));
      socket.on('connect_error', (error) => resolve((error as Error & { data?: Refusal }).data));
    });
  const chatOutcomeOf = (socket: Socket): Promise<string> =>
    new Promise((resolve) => {
      socket.on('auth_success', () => resolve('in'));
      socket.on('auth_error', ({ code }: Refusal) => resolve(code));
    });

  describe('[S46] a token that is bound to a key, on a socket', () => {
    let client: Client;
    let pair: { privateKey: CryptoKey; jwk: JWK };
    let access: string;
    let nonce: string | undefined;
    before(async () => {
      client = await createClient(gateway, { scopes: ['sync:read', 'chat'], partitions: ['*'] });
      pair = await makePair();
      nonce = (await ask()).headers.get('dpop-nonce') ?? undefined;
      access = String((await ask()).body['access_token']);
    });

    async function makePair(): Promise<{ privateKey: CryptoKey; jwk: JWK }> {
      const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
      return { privateKey, jwk: await exportJWK(publicKey) };
    }
    const prove = (claims: Record<string, unknown>, by = pair): Promise<string> =>
      new SignJWT({ jti: randomUUID(), nonce, ...claims })
        .setIssuedAt()
        .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: by.jwk })
        .sign(by.privateKey);
    const ask = async (): Promise<Answer> =>
      call(gateway, '/oauth/token', {
        form: {
          grant_type: 'client_credentials',
          client_id: client.clientId,
          client_secret: client.secret,
        },
        headers: { dpop: await prove({ htm: 'POST', htu: `${app.url}/oauth/token` }) },
      });
    const proveSocket = (change: Record<string, unknown> = {}, by = pair): Promise<string> => {
      const ath = createHash('sha256').update(access).digest('base64url');
      return prove({ htm: 'GET', htu: `${app.url}/socket.io/`, ath, ...change }, by);
    };

    it('lets in with a proof in the handshake, on both namespaces', async () => {
      const sync = open('/sync', { token: access, dpop: await proveSocket() });
      const chat = open('/', { token: access, dpop: await proveSocket() });
      const outcomes = await Promise.all([outcomeOf(sync), chatOutcomeOf(chat)]);
      expect(outcomes).to.deep.equal([undefined, 'in']);
    });

    it('opens nothing for whoever stole it: without a proof, with a used one, with another key', async () => {
      const used = await proveSocket();
      await outcomeOf(open('/sync', { token: access, dpop: used }));
      const auths = [
        { token: access },
        { token: access, dpop: used },
        { token: access, dpop: await proveSocket({}, await makePair()) },
        { token: access, dpop: await proveSocket({ htu: `${app.url}/auth/me` }) },
        { token: access, dpop: await proveSocket({ ath: undefined }) },
        { token: access, dpop: { toString: 'x' } },
      ];
      for (const auth of auths) {
        const refusal = await outcomeOf(open('/sync', auth));
        expect([refusal?.code, await chatOutcomeOf(open('/', auth))]).to.deep.equal(
          typeof auth.dpop === 'object'
            ? ['invalid_dpop_proof', 'invalid_message']
            : ['invalid_dpop_proof', 'invalid_dpop_proof'],
        );
      }
    });

    it('says which nonce it wants', async () => {
      const refusal = await outcomeOf(
        open('/sync', { token: access, dpop: await proveSocket({ nonce: 'mine' }) }),
      );
      expect(refusal).to.deep.include({ code: 'use_dpop_nonce', dpopNonce: nonce });
    });

    it('is renewed over the socket with a proof, and not without', async () => {
      const socket = open('/sync', { token: access, dpop: await proveSocket() });
      await outcomeOf(socket);
      const renew = async (body: unknown): Promise<unknown> => {
        const answer = (await socket.timeout(5_000).emitWithAck('auth:refresh', body)) as {
          ok: boolean;
          error?: Refusal;
        };
        return answer.error?.code ?? answer.ok;
      };
      const outcomes = [
        await renew({ token: access }),
        await renew({ token: access, dpop: await proveSocket() }),
      ];
      expect(outcomes).to.deep.equal(['invalid_dpop_proof', true]);
    });
  });

  it('[S51] what is refused before it is read has OAuth’s form as well, and is not kept', async () => {
    const form = `grant_type=client_credentials&scope=${'a'.repeat(100_000)}`;
    const headers = { 'content-type': 'application/json' };
    const answers = [
      await call(gateway, '/oauth/token', { form }),
      await call(gateway, '/oauth/token', { form: '{', headers }),
      await call(gateway, '/oauth/introspect', { form: '{', headers }),
      await call(gateway, '/oauth/device_authorization', { form: '{', headers }),
    ];
    expect(answers.map(({ status, body }) => [status, body['error']])).to.deep.equal([
      [413, 'invalid_request'],
      ...Array.from({ length: 3 }, () => [400, 'invalid_request']),
    ]);
    for (const answer of answers) {
      expect(Object.keys(answer.body)).to.deep.equal(['error', 'error_description']);
      expect(answer.headers.get('cache-control')).to.equal('no-store');
    }
  });

  describe('[S50] a terminal asks, and the open page of the person it names is told', () => {
    let access: string;
    before(async () => {
      await createPerson(gateway, { username: 'ana' });
      ({ access } = await logIn(gateway, 'ana'));
    });

    const listen = async (ip: string, token = access): Promise<unknown[]> => {
      const told: unknown[] = [];
      const socket = open('/', { token }, ip);
      socket.on('device:request', (body) => told.push(body));
      expect(await chatOutcomeOf(socket)).to.equal('in');
      return told;
    };
    const request = (ip: string, login_hint: string): Promise<Answer> =>
      call(gateway, '/oauth/device_authorization', {
        form: { client_id: 'sluice-cli', login_hint },
        headers: { 'x-forwarded-for': ip },
      });
    const asked = { client: 'Sluice terminal client', scopes: null };

    it('where the terminal is, and nowhere else; and nobody else', async () => {
      await createPerson(gateway, { username: 'ben' });
      const ben = await logIn(gateway, 'ben');
      const [near, far, bens] = [
        await listen('198.51.100.1'),
        await listen('203.0.113.9'),
        await listen('198.51.100.1', ben.access),
      ];
      const answer = await request('198.51.100.1', 'ANA');
      await until('the page is told', () => near.length === 1);
      expect(near).to.deep.equal([{ ...asked, user_code: answer.body['user_code'] }]);
      expect([far, bens]).to.deep.equal([[], []]);
    });

    it('[S29] the answer is the same whether there is such a person or not', async () => {
      const shapes = await Promise.all(
        ['ana', 'nobody', 'x'.repeat(2_000)].map(async (name) => {
          const { status, body, headers } = await request('192.0.2.200', name);
          return JSON.stringify([status, Object.keys(body), [...headers.keys()].sort()]);
        }),
      );
      expect(new Set(shapes).size).to.equal(1);
    });

    it('no more than three times in ten minutes', async () => {
      const name = 'eva';
      await createPerson(gateway, { username: name });
      const told = await listen('198.51.100.2', (await logIn(gateway, name)).access);
      for (let i = 0; i < 6; i += 1) await request('198.51.100.2', name);
      // one for somebody else after them: what was to come has come
      const last = await listen('198.51.100.3');
      await request('198.51.100.3', 'ana');
      await until('the last page is told', () => last.length === 1);
      expect(told).to.have.length(3);
    });

    it('[S61] no code is in the access log, though it is in a path', async () => {
      const { body } = await request('192.0.2.1', 'ana');
      const code = String(body['user_code']);
      const shown = await call(gateway, `/api/device/${code}`, { bearer: access });
      const refused = await call(gateway, `/api/device/${code}`);
      expect([shown.status, refused.status]).to.deep.equal([200, 401]);
      expect(gateway.logged()).to.include('/api/device/:user_code').and.not.include(code);
    });
  });
});

function sink(take: (text: string) => void): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      take(chunk.toString());
      done();
    },
  });
}
