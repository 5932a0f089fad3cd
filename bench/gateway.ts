import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { createApp } from '../server/app.ts';
import { authenticateClient, grantClientCredentials } from '../server/auth/client-grants.ts';
import type { Identity } from '../server/auth/identity.ts';
import { registerClient } from '../server/auth/oauth-clients.ts';
import type { Principal } from '../server/auth/principal.ts';
import { parseConfig } from '../server/config.ts';
import { createLogger } from '../server/log.ts';
import { BENCH_PASSWORD } from './side.ts';
import type { BenchClient, Side } from './side.ts';

/**
 * Starts the gateway that is measured: the whole of it, as `npm start` does, on the given database. Every client is
 * registered, holds a session and is known by its token; what is spared is HTTP, whose limits are not what is measured.
 */
export async function startGateway(databaseUrl: string): Promise<Side> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  const settings = { DATABASE_URL: databaseUrl, DATA_DIR: dataDir, PORT: '0', JWT_EXPIRES_IN: '2h' };
  // all the load comes from one address
  const limits = { RATE_LIMIT_MAX_REQUESTS: '1000000', RATE_LIMIT_ROLES: 'owner=none,member=none' };
  const env = { ...settings, ...limits, CLIENT_TOKEN_LIMIT: '1000000' };
  const silence = new Writable({ write: (_chunk, _encoding, done) => done() });
  const app = await createApp({ config: parseConfig(env), log: createLogger('error'), console: silence });
  const { adminKeyFile = '' } = app;
  const admin = await app.identity.authenticateKey((await readFile(adminKeyFile, 'utf8')).trim());
  return {
    url: app.url,
    issueTokens: async (count) => {
      const tokens: string[] = [];
      while (tokens.length < count) tokens.push(await issueToken(app.identity, admin));
      return tokens;
    },
    registerClients: async (count) => {
      const clients: BenchClient[] = [];
      while (clients.length < count) clients.push(await register(app.identity, admin));
      return clients;
    },
    createPeople: (count) => createPeople(app.identity, count),
    async close() {
      await app.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Registers a branch's client and logs it in. */
async function issueToken(identity: Identity, admin: Principal): Promise<string> {
  const { core } = identity;
  const { clientId, clientSecret } = await register(identity, admin);
  const credentials = { method: 'client_secret_post', clientId, secret: clientSecret } as const;
  const authenticated = await authenticateClient(core, credentials, CALLER);
  return (await grantClientCredentials(core, authenticated, { scope: undefined }, CALLER)).accessToken;
}

const CALLER = { ip: '127.0.0.1' };

async function register({ core }: Identity, admin: Principal): Promise<BenchClient> {
  const scopes = ['sync:read', 'sync:write'];
  const settings = { name: 'bench', scopes, partitions: ['*'], ipAllowList: [], ratePerMinute: null };
  const { client, clientSecret } = await registerClient(core, admin, settings, CALLER);
  return { clientId: client.clientId, clientSecret };
}

/** Their password is hashed once: signing up is not what is measured. */
async function createPeople({ core }: Identity, count: number): Promise<string[]> {
  const run = Date.now().toString(36);
  const names = Array.from({ length: count }, (_, i) => `bench-${run}-${i}`);
  await core.db.sql(
    `INSERT INTO users (tenant_id, id, username, username_key, email, email_key, password_hash, role, verified_at, created_at)
     SELECT 1, gen_random_uuid(), name, name, name || '@example.org', name || '@example.org', $2, 'member', now(), now()
     FROM unnest($1::text[]) AS name`,
    [names, await core.passwords.hash(BENCH_PASSWORD)],
  );
  return names;
}
