import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type Router from '@koa/router';
import { startIdentity } from '../../../server/auth/identity.ts';
import type { Identity } from '../../../server/auth/identity.ts';
import type { DisconnectListener } from '../../../server/auth/revoke-delays.ts';
import { parseConfig } from '../../../server/config.ts';
import type { Database } from '../../../server/db.ts';
import { createLocalHints } from '../../../server/hints.ts';
import type { Hints } from '../../../server/hints.ts';
import { createHttp } from '../../../server/http.ts';
import { createLogger } from '../../../server/log.ts';
import { createMetrics } from '../../../server/metrics.ts';
import { createOriginCheck } from '../../../server/origins.ts';
import { openTestDatabase } from '../../support/database.ts';

export const ADMIN_KEY = 'an-admin-key-for-tests-only-0123456789';
export const PASSWORD = 'glass otter 51 lantern';
const ENCRYPTION_KEY = 'an encryption key for tests only, 42';

/** Identity behind the gateway's own HTTP on a real port and database, with a clock to turn. */
export interface Gateway {
  url: string;
  db: Database & { url: string };
  identity: Identity;
  clock: Clock;
  /** Every route that is served. */
  routers: readonly Router[];
  /** Everything that was logged. */
  logged: () => string;
  close(): Promise<void>;
}

export interface Clock {
  (): number;
  advance(ms: number): void;
}

export interface GatewayOptions {
  env?: Record<string, string>;
  db?: Database & { url: string };
  hints?: Hints;
  clock?: Clock;
  onDisconnect?: DisconnectListener;
}

export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const db = options.db ?? spare.pop() ?? (await openTestDatabase());
  const dataDir = await mkdtemp(join(tmpdir(), 'sluice-auth-'));
  const config = parseConfig({
    DATA_DIR: dataDir,
    INTERNAL_API_KEY: ADMIN_KEY,
    CONFIG_ENCRYPTION_KEY: ENCRYPTION_KEY,
    RATE_LIMIT_MAX_REQUESTS: '100000',
    DEVICE_REGISTRATION_LIMIT: '100000',
    KEY_OPERATION_LIMIT: '100000',
    STRICT_LIMIT: '100000',
    ...options.env,
  });
  const clock = options.clock ?? createClock();
  const lines: string[] = [];
  const sink = createSink(lines);
  const log = createLogger('trace', sink);
  const hints = options.hints ?? createLocalHints();
  let url = 'http://127.0.0.1:0';
  const issuer = (): string => config.PUBLIC_URL ?? url;
  const identity = await startIdentity({
    db,
    config,
    log,
    hints,
    issuer,
    clock,
    console: createSink([]),
    onDisconnect: options.onDisconnect,
  });
  const allowOrigin = createOriginCheck(config, issuer);
  const accepting = (): boolean => true;
  const deps = { config, db, identity, metrics, log, baseUrl: issuer, allowOrigin, accepting };
  const { handle, routers } = createHttp(deps);
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    db,
    identity,
    clock,
    routers,
    logged: () => lines.join(''),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await identity.close();
      if (options.hints === undefined) await hints.close();
      if (options.db === undefined) await giveBack(db);
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** One for all: each measures the event loop for as long as the process lives. */
const metrics = createMetrics();

type TestDatabase = Database & { url: string };

/** Emptied databases: making and dropping one costs more than most tests. */
const spare: TestDatabase[] = [];
after(async () => {
  await Promise.all(spare.map((db) => db.close()));
});

async function giveBack(db: TestDatabase): Promise<void> {
  await db.transaction(async ({ sql }) => {
    // the audit log refuses DELETE, but not to a superuser who suspends its trigger
    await sql('SET LOCAL session_replication_role = replica');
    const tables = await sql<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.tables
       WHERE table_schema = 'public' AND table_name <> 'schema_migrations'`,
    );
    for (const { name } of tables) await sql(`DELETE FROM ${name}`);
    await sql(`INSERT INTO tenants (id, name) VALUES (1, 'default')`);
    await sql('INSERT INTO sync_versions (tenant_id, epoch) VALUES (1, gen_random_uuid())');
  });
  spare.push(db);
}

export function createClock(): Clock {
  let ahead = 0;
  return Object.assign(() => Date.now() + ahead, {
    advance: (ms: number) => {
      ahead += ms;
    },
  });
}

function createSink(lines: string[]): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString());
      done();
    },
  });
}
