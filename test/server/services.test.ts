import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { io } from 'socket.io-client';
import { createVerifier } from '../../sdk/verify.ts';
import { createMachineSession } from '../../sdk/machine-session.ts';
import { createDatabase } from '../support/database.ts';
import { startGatewayProcess } from '../support/gateway-process.ts';
import type { GatewayProcess } from '../support/gateway-process.ts';
import { connectWire, until } from '../support/sync-gateway.ts';

const KEY = 'an-admin-key-for-tests-only-0123456789';
const SEALING = 'an encryption key for tests only, 42';
const SECRET = 'what both services share, and nobody else';

/** Two processes, one database: who somebody is, and what they come for (DESIGN 6). */
describe('the authentication and the foundation service', function () {
  this.timeout(90_000);
  let folder: string;
  let databaseUrl: string;
  const started: GatewayProcess[] = [];
  const start = async (role: 'auth' | 'foundation', env: Record<string, string> = {}): Promise<string> => {
    const dataDir = await mkdtemp(join(folder, `${role}-`));
    const ports = { ROLE: role, PORT: '0', AUTH_PORT: '0' };
    const own = role === 'auth' ? { INTERNAL_API_KEY: KEY, CONFIG_ENCRYPTION_KEY: SEALING } : {};
    const service = startGatewayProcess({
      DATABASE_URL: databaseUrl,
      DATA_DIR: dataDir,
      ...ports,
      ...own,
      ...env,
    });
    started.push(service);
    return await service.url;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(
      started.splice(0).map(({ child, ended }) => {
        child.kill('SIGKILL');
        return ended;
      }),
    );
    await rm(folder, { recursive: true, force: true });
  };
  const setUp = async (): Promise<void> => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-services-'));
    databaseUrl = await createDatabase();
  };

  interface Machine {
    clientId: string;
    clientSecret: string;
  }
  const register = async (auth: string, scopes = ['sync:read', 'sync:write']): Promise<Machine> => {
    const response = await fetch(`${auth}/api/v1/admin/oauth-clients`, {
      method: 'POST',
      headers: { 'x-api-key': KEY, 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'branch', tenantId: 1, scopes, partitions: ['*'] }),
    });
    const { client_id, client_secret } = (await response.json()) as Record<string, string>;
    return { clientId: client_id ?? '', clientSecret: client_secret ?? '' };
  };
  const tokenOf = async (auth: string, machine?: Machine): Promise<string> =>
    createMachineSession({ baseUrl: auth, ...(machine ?? (await register(auth))) }).getAccessToken();
  const statusOf = async (url: string, init?: RequestInit): Promise<number> =>
    (await fetch(url, init)).status;
  const refusalOf = (url: string, token: string): Promise<unknown> =>
    connectWire(url, { token }).then(
      ({ socket }) => void socket.close(),
      (error: unknown) => (error as { data?: { code?: string } }).data?.code,
    );

  describe('with keys', () => {
    let auth: string;
    let foundation: string;
    before(async () => {
      await setUp();
      auth = await start('auth');
      foundation = await start('foundation', { AUTH_URL: auth });
    });
    after(stop);

    it('[OP7] a token of the one is good at the other: it syncs there', async () => {
      const token = await tokenOf(auth);
      const branch = await connectWire(foundation, { token });
      await branch.hello({ subscribe: [{ collection: 'branches' }] });
      const ack = await branch.push([
        { collection: 'branches', id: 'b12', op: 'put', partition: 'b12', data: { name: 'Tirana' } },
      ]);
      branch.socket.close();
      expect(ack).to.include({ ok: true, seq: 1 });
      expect(decodeProtectedHeader(token)).to.include({ alg: 'ES256' });
      expect(decodeJwt(token)).to.include({ iss: auth, aud: 'sluice' });
    });

    it('[OP7] each serves its own part alone, and is watched by itself', async () => {
      const login = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
      const form = { method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials' }) };
      const atAuth = [
        await statusOf(`${auth}/api/login`, login),
        await statusOf(`${auth}/oauth/token`, form),
        await statusOf(`${auth}/.well-known/jwks.json`),
        await statusOf(`${auth}/auth/stats`, { headers: { 'x-api-key': KEY } }),
        await statusOf(`${auth}/socket.io/?EIO=4&transport=polling`),
        await statusOf(`${auth}/health/ready`),
      ];
      const atFoundation = [
        await statusOf(`${foundation}/api/login`, login),
        await statusOf(`${foundation}/oauth/token`, form),
        await statusOf(`${foundation}/.well-known/jwks.json`),
        await statusOf(`${foundation}/auth/stats`, { headers: { 'x-api-key': KEY } }),
        await statusOf(`${foundation}/`),
        await statusOf(`${foundation}/health/ready`),
      ];
      expect(atAuth).to.deep.equal([400, 401, 200, 200, 404, 200]);
      expect(atFoundation).to.deep.equal([404, 404, 404, 404, 404, 200]);
      expect((await connectRefused(auth)).length).to.be.above(0);
    });

    it('[OP7] passwords are not taken by the foundation service, over its sockets either', async () => {
      const socket = io(foundation, { transports: ['websocket'], reconnection: false, forceNew: true });
      await new Promise((resolve) => socket.once('connected', resolve));
      const answer = new Promise<{ code?: string }>((resolve) => socket.once('auth_error', resolve));
      socket.emit('authenticate', { username: 'ana', password: 'glass otter 51 lantern' });
      expect(await answer).to.include({ code: 'forbidden' });
      socket.close();
    });

    it('[OP7] [S57] a session that ends at the one loses its socket at the other, and the delay is recorded', async () => {
      const machine = await register(auth);
      const session = createMachineSession({ baseUrl: auth, ...machine });
      const token = await session.getAccessToken();
      const branch = await connectWire(foundation, { token });
      await branch.hello({ subscribe: [] });
      const said = new Promise((resolve) => branch.socket.once('auth:revoked', resolve));
      const closed = new Promise((resolve) => branch.socket.once('disconnect', resolve));
      const form = new URLSearchParams({
        token,
        client_id: machine.clientId,
        client_secret: machine.clientSecret,
      });
      await fetch(`${auth}/oauth/revoke`, { method: 'POST', body: form });
      expect(await said).to.deep.equal({ code: 'revoked' });
      await closed;
      expect(await refusalOf(foundation, token)).to.equal('revoked');
      await until('the figure', async () => {
        const text = await (await fetch(`${foundation}/metrics`)).text();
        return [
          ...text.matchAll(/^sluice_revoke_disconnect_seconds_count\{heard="(?:hint|poll)"\} (\d+)$/gm),
        ].some(([, count]) => Number(count) > 0);
      });
    });

    it('[OP7] the foundation service keeps no secret: no admin key, and no need of the key that signing keys are sealed with', async () => {
      const [dir = ''] = (await readdir(folder)).filter((name) => name.startsWith('foundation-'));
      expect(await readdir(join(folder, dir))).to.not.include('admin.key');
    });

    it('[OP7] the foundation service may start first: it takes tokens as soon as there is a key', async () => {
      const other = await createDatabase();
      const first = await start('foundation', { DATABASE_URL: other, AUTH_URL: 'https://auth.example.org' });
      const late = await start('auth', { DATABASE_URL: other, AUTH_URL: 'https://auth.example.org' });
      expect(await refusalOf(first, await tokenOf(late))).to.equal(undefined);
    });

    it('[OP2] [OP7] the authentication service stops as asked', async () => {
      await start('auth');
      const service = started.at(-1);
      service?.child.kill('SIGTERM');
      expect(await service?.ended).to.equal(0);
    });

    it('[OP7] a third service checks tokens with the published verifier, and hears of sessions that have ended', async () => {
      const machine = await register(auth);
      const reader = await register(auth, ['auth:revocations']);
      const verifier = createVerifier({
        issuer: auth,
        revocations: { tokens: createMachineSession({ baseUrl: auth, ...reader }) },
      });
      const token = await tokenOf(auth, machine);
      const { clientId } = await verifier.verify(token);
      const form = new URLSearchParams({
        token,
        client_id: machine.clientId,
        client_secret: machine.clientSecret,
      });
      await fetch(`${auth}/oauth/revoke`, { method: 'POST', body: form });
      await until('the news', () =>
        verifier.verify(token).then(
          () => false,
          (error: unknown) => (error as { code?: string }).code === 'revoked',
        ),
      );
      verifier.close();
      expect(clientId).to.equal(machine.clientId);
    });
  });

  describe('with JWT_SECRET', () => {
    let auth: string;
    before(async () => {
      await setUp();
      auth = await start('auth', { JWT_SECRET: SECRET });
    });
    after(stop);

    it('[OP8] the authentication service signs with the secret, and who shares it takes the token', async () => {
      const foundation = await start('foundation', { AUTH_URL: auth, JWT_SECRET: SECRET });
      const token = await tokenOf(auth);
      expect(decodeProtectedHeader(token)).to.deep.equal({ alg: 'HS256', typ: 'at+jwt' });
      expect(decodeJwt(token)).to.include({ aud: 'sluice-foundation' });
      expect(await refusalOf(foundation, token)).to.equal(undefined);
      const me = await statusOf(`${auth}/auth/me`, { headers: { authorization: `Bearer ${token}` } });
      expect(me).to.equal(200);
      const verifier = createVerifier({ issuer: auth, secret: SECRET, audience: 'sluice-foundation' });
      expect((await verifier.verify(token)).tenantId).to.equal(1);
    });

    it('[OP8] [S3] [S11] it is refused where there is another secret, another audience, or none', async () => {
      const others = [
        await start('foundation', { AUTH_URL: auth, JWT_SECRET: 'another secret, of another service, 0123' }),
        await start('foundation', { AUTH_URL: auth, JWT_SECRET: SECRET, JWT_AUDIENCE: 'reports' }),
        await start('foundation', { AUTH_URL: auth }),
      ];
      const token = await tokenOf(auth);
      const refusals = await Promise.all(others.map((other) => refusalOf(other, token)));
      expect(refusals).to.deep.equal(['invalid_token', 'invalid_token', 'invalid_token']);
    });

    it('[OP8] [S3] one that a key has signed is refused where there is a secret', async () => {
      const withKeys = await start('auth', { AUTH_URL: auth });
      const foundation = await start('foundation', { AUTH_URL: auth, JWT_SECRET: SECRET });
      const token = await tokenOf(withKeys);
      expect(decodeJwt(token)).to.include({ iss: auth });
      expect(await refusalOf(foundation, token)).to.equal('invalid_token');
    });
  });
});

async function connectRefused(url: string): Promise<string> {
  const socket = io(url, { transports: ['websocket'], reconnection: false, forceNew: true });
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(''));
    socket.once('connect_error', ({ message }) => {
      socket.close();
      resolve(message);
    });
  });
}
