import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import pg from 'pg';
import { createChatClient, createSession, type ChatClient, type Session } from '../../../sdk/index.ts';
import { createApp } from '../../../server/app.ts';
import { parseConfig } from '../../../server/config.ts';
import { createLogger } from '../../../server/log.ts';
import { createDatabase } from '../../support/database.ts';
import type { GatewayUnderTest } from '../gateway.ts';
import { createAdmin, type Admin } from './admin.ts';
import { createAgents } from './agents.ts';
import { startValve } from './valve.ts';

const PASSWORD = 'another long sentence nobody guesses';

/** The real thing on a database of its own, reached through a valve that the tests may close. */
export async function startRealGateway(): Promise<GatewayUnderTest> {
  const valve = await startValve();
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-web-'));
  const database = await createDatabase();
  const config = parseConfig({
    PORT: '0',
    DATA_DIR: dataDir,
    DATABASE_URL: database,
    PUBLIC_URL: valve.url,
    INTERNAL_API_KEY: 'the-admin-key-of-the-page-tests-alone',
    SIGNUP_LIMIT: '1000',
    PROOF_OF_WORK_AFTER: '1000',
    RATE_LIMIT_MAX_REQUESTS: '10000',
  });
  const app = await createApp({ config, log: createLogger('silent'), console: nowhere() });
  valve.open(Number(new URL(app.url).port));
  const admin = createAdmin(app.url, config.INTERNAL_API_KEY ?? '');
  const agents = createAgents(app.url, admin);
  const talkers = createTalkers(app.url, valve.url, admin);
  // The first person of an installation owns it: the tests are about those who come later.
  await signUp(app.url, admin, 'owner');

  return {
    url: valve.url,
    codeFor: admin.codeFor,
    inviteFor: admin.inviteFor,
    async age(username) {
      await ageSessions(database, username);
      // makes the gateway look again
      await admin.changeUser(username, { partitions: ['*:read'] });
    },
    grant: (username) => admin.changeUser(username, { partitions: ['*:read'] }),
    makeAdmin: (username) => admin.changeUser(username, { role: 'admin' }),
    // Whoever is disabled loses every session at once.
    revoke: (username) => admin.changeUser(username, { disabled: true }),
    push: (partition, mutations) => agents.push(partition, mutations),
    say: (room, from, body) => talkers.say(room, from, body),
    interrupt: valve.close,
    resume() {
      valve.open(Number(new URL(app.url).port));
      return Promise.resolve();
    },
    async close() {
      await talkers.close();
      await agents.close();
      await app.close();
      await valve.end();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Other people, who sign up the first time they have something to say. */
function createTalkers(url: string, origin: string, admin: Admin) {
  const clients = new Map<string, Promise<ChatClient>>();

  async function start(username: string): Promise<ChatClient> {
    const session = await signUp(url, admin, username);
    const client = createChatClient({ url: origin, tokens: session });
    client.start();
    return client;
  }

  return {
    async say(room: string, from: string, body: string): Promise<void> {
      const client = clients.get(from) ?? start(from);
      clients.set(from, client);
      await (await client).send(room, body);
    },
    async close(): Promise<void> {
      for (const client of clients.values()) await (await client).close();
    },
  };
}

async function signUp(url: string, admin: Admin, username: string): Promise<Session> {
  const session = createSession({ baseUrl: url });
  const email = `${username}@example.org`;
  await session.signup({ username, email, password: PASSWORD });
  await session.verifyEmail({ email, code: await admin.codeFor(email) });
  await session.login({ username, password: PASSWORD });
  return session;
}

async function ageSessions(url: string, username: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(
    `UPDATE sessions SET authenticated_at = authenticated_at - interval '1 hour'
     WHERE principal_id = (SELECT id FROM users WHERE username = $1)`,
    [username],
  );
  await client.end();
}

function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}
