import { readdir } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { DataSource } from 'typeorm';
import type { EntityManager, MigrationInterface, QueryRunner } from 'typeorm';
import pg from 'pg';
import type { PoolClient } from 'pg';
import { ENTITIES } from '../entities/index.ts';
import { AppError } from '../protocol/errors.ts';

/** Runs one parameterised statement and returns its rows. Inside a transaction: that transaction's. */
export type Sql = <Row = Record<string, unknown>>(
  text: string,
  values?: readonly unknown[],
) => Promise<Row[]>;

const prepared = new Map<string, string>();

/** Marks a statement that is run with each request: a connection plans it once. Only for one whose plan no value changes. */
export function prepare(name: string, text: string): string {
  prepared.set(text, name);
  return text;
}

function toQuery(text: string, values: readonly unknown[] = []): pg.QueryConfig {
  const name = prepared.get(text);
  return { ...(name === undefined ? {} : { name }), text, values: values as unknown[] };
}

/** One open transaction: plain SQL and TypeORM's repositories on the same connection. */
export interface Tx {
  sql: Sql;
  em: EntityManager;
}

export interface Database {
  dataSource: DataSource;
  /** Connections of the sync path alone, so that no amount of other work can starve it. */
  syncPool: pg.Pool;
  sql: Sql;
  /** Runs `work` in one READ COMMITTED transaction; commits when it resolves, rolls back when it throws. */
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** What a statement may take, in milliseconds. The server's own limits come first; ours is for one that says nothing. */
export interface Patience {
  queryMs: number;
  statementMs: number;
  lockMs: number;
  idleInTransactionMs: number;
}

const PATIENCE: Patience = {
  queryMs: 10_000,
  statementMs: 8_000,
  lockMs: 5_000,
  idleInTransactionMs: 30_000,
};

/** Key of the advisory lock that lets one node at a time migrate. */
const MIGRATION_LOCK = 5_142_009_003;

// bigint columns are counters below 2^53: numbers are what the wire carries
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

/** Connects, and brings the schema up to date. Throws when the database is newer than the code or cannot be used. */
export async function openDatabase(options: {
  url: string;
  poolSize?: number;
  migrate?: boolean;
  patience?: Patience;
}): Promise<Database> {
  const { url, poolSize = 16, patience = PATIENCE } = options;
  const migrations = await loadMigrations();
  // a migration takes the time it takes
  if (options.migrate !== false)
    await withDataSource(toDataSource({ url, migrations, poolSize: 2 }), migrate);
  const dataSource = toDataSource({ url, migrations, poolSize, patience });
  await dataSource.initialize();
  try {
    await requireSupportedServer(dataSource);
  } catch (error) {
    await dataSource.destroy();
    throw error;
  }
  const pool = (dataSource.driver as unknown as { master: pg.Pool }).master;
  const syncPool = openSyncPool(url, patience);
  return {
    dataSource,
    syncPool,
    sql: async <Row>(text: string, values?: readonly unknown[]) =>
      (await pool.query(toQuery(text, values))).rows as Row[],
    transaction: (work) => inTransaction(dataSource, work),
    async close() {
      await syncPool.end();
      await dataSource.destroy();
    },
  };
}

/** Of each connection. What a transaction would have to be told, it need not be told: that is a round trip each time. */
const SETTINGS = '-c timezone=UTC -c synchronous_commit=on -c default_transaction_isolation=read\\ committed';

function toDataSource(options: {
  url: string;
  migrations: MigrationClass[];
  poolSize: number;
  patience?: Patience;
}): DataSource {
  const { url, migrations, poolSize, patience } = options;
  const limits = patience ? { ...limitsOf(patience), Client: ImpatientClient } : {};
  return new DataSource({
    type: 'postgres',
    url,
    entities: ENTITIES,
    migrations,
    migrationsTableName: 'schema_migrations',
    migrationsTransactionMode: 'all',
    installExtensions: false,
    poolSize,
    applicationName: 'sluice',
    extra: { connectionTimeoutMillis: 5_000, options: SETTINGS, ...limits },
    poolErrorHandler: () => undefined,
  });
}

async function withDataSource(
  dataSource: DataSource,
  work: (source: DataSource) => Promise<void>,
): Promise<void> {
  await dataSource.initialize();
  try {
    await requireSupportedServer(dataSource);
    await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}

function limitsOf(patience: Patience): pg.ClientConfig {
  return {
    query_timeout: patience.queryMs,
    statement_timeout: patience.statementMs,
    lock_timeout: patience.lockMs,
    idle_in_transaction_session_timeout: patience.idleInTransactionMs,
  };
}

const READ_TIMEOUT = 'Query read timeout';

/** Breaks its connection when a statement has had no answer in time: what answers later would answer another one. */
class ImpatientClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    const query = this.query.bind(this) as (...args: unknown[]) => unknown;
    const { connection } = this as unknown as { connection: { stream: Socket } };
    this.query = ((...args: unknown[]) => {
      const answer = query(...args);
      if (answer instanceof Promise)
        answer.catch((error: unknown) => {
          if (error instanceof Error && error.message === READ_TIMEOUT) connection.stream.destroy();
        });
      return answer;
    }) as typeof this.query;
  }
}

/**
 * The sync path's statements are prepared once per connection. A generic plan made while the tables were still empty
 * would scan them for ever after; without these plan types it always takes the keys.
 */
function openSyncPool(url: string, patience: Patience): pg.Pool {
  const planner = '-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off';
  const pool = new pg.Pool({
    connectionString: url,
    max: 8,
    application_name: 'sluice-sync',
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    ...limitsOf(patience),
    Client: ImpatientClient,
    options: `-c timezone=UTC -c synchronous_commit=on ${planner}`,
  });
  // an idle connection that breaks is replaced at the next use; a busy one's query fails by itself
  pool.on('error', () => undefined);
  // one that breaks between two statements of a transaction says so here; unheard, it would end the process
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** Says whether an error means that the database could not be reached, as opposed to having refused a statement. */
export function isUnavailable(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string') {
    // 08: connection; 57P: shutdown and crash; 53: out of disk, memory or connections; 25006: read-only after a failover;
    // 57014, 55P03, 25P03: a statement, a lock or a transaction took too long; 55000: a database that takes no connections
    return (
      /^(08|57P|57014|53|55000|55P03|58030|25006|25P03)/.test(code) ||
      ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT'].includes(code)
    );
  }
  return (
    error instanceof Error &&
    /connection terminated|timeout exceeded when trying to connect|query read timeout/i.test(error.message)
  );
}

async function inTransaction<T>(dataSource: DataSource, work: (tx: Tx) => Promise<T>): Promise<T> {
  const runner = dataSource.createQueryRunner();
  let broken: unknown;
  // a connection that ends between two statements says so here only; what is asked of it then fails for want of one
  const onError = (error: unknown): void => void (broken = error);
  let client: PoolClient | undefined;
  try {
    const connected = (await connect(runner)) as PoolClient;
    client = connected.on('error', onError);
    await runner.startTransaction();
    const sql: Sql = async <Row>(text: string, values?: readonly unknown[]) =>
      (await connected.query(toQuery(text, values))).rows as Row[];
    const result = await work({ sql, em: runner.manager });
    await runner.commitTransaction();
    return result;
  } catch (error) {
    if (runner.isTransactionActive) await runner.rollbackTransaction().catch(() => undefined);
    throw broken !== undefined || isUnavailable(error)
      ? new AppError('unavailable', { cause: error })
      : error;
  } finally {
    client?.off('error', onError);
    await runner.release();
  }
}

async function connect(runner: QueryRunner): Promise<unknown> {
  return await (runner.connect() as Promise<unknown>);
}

async function requireSupportedServer(dataSource: DataSource): Promise<void> {
  const [row] = await dataSource.query<{ server_version_num: string }[]>('SHOW server_version_num');
  const version = Number(row?.server_version_num ?? 0);
  if (version < 150_000) {
    throw new Error(`PostgreSQL ${Math.floor(version / 10_000)} is too old: Sluice needs 15 or newer.`);
  }
}

async function migrate(dataSource: DataSource): Promise<void> {
  const runner = dataSource.createQueryRunner();
  await runner.connect();
  try {
    await runner.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await refuseNewerDatabase(dataSource, runner);
    await dataSource.runMigrations();
  } finally {
    await runner.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]).catch(() => undefined);
    await runner.release();
  }
}

async function refuseNewerDatabase(dataSource: DataSource, runner: QueryRunner): Promise<void> {
  if (!(await runner.hasTable('schema_migrations'))) return;
  const known = new Set(dataSource.migrations.map((migration) => migration.name));
  const applied = (await runner.query('SELECT name FROM schema_migrations ORDER BY id')) as {
    name: string;
  }[];
  const unknown = applied.map((row) => row.name).filter((name) => !known.has(name));
  if (unknown.length > 0) {
    throw new Error(
      `The database is newer than this Sluice: it has ${unknown.join(', ')}. Start the version that made it, or a newer one.`,
    );
  }
}

type MigrationClass = new () => MigrationInterface;

async function loadMigrations(): Promise<MigrationClass[]> {
  const folder = new URL('../migrations/', import.meta.url);
  const files = (await readdir(folder)).filter(
    (name) => /^\d+-[\w-]+\.[jt]s$/.test(name) && !name.endsWith('.d.ts'),
  );
  const modules = await Promise.all(
    files
      .sort()
      .map(async (name) => (await import(new URL(name, folder).href)) as Record<string, MigrationClass>),
  );
  return modules.flatMap((module) => Object.values(module));
}
