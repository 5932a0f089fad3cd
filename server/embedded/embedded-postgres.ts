import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { prepareBinaries, programPath, requireNativeDir, type Binaries } from './binaries.ts';
import { ensureCluster } from './cluster.ts';
import { asDataDirError, EmbeddedPostgresError } from './errors.ts';
import { acquireGatewayLock, type GatewayLock } from './gateway-lock.ts';
import { endLeftovers } from './leftovers.ts';
import { chooseFreePort } from './port.ts';
import {
  databaseUrl,
  startPostmaster,
  type Postmaster,
  type PostmasterExit,
  type PostmasterPlace,
} from './postmaster.ts';
import { chooseRunAs } from './run-as.ts';
import { Supervisor } from './supervisor.ts';
import type { Tools } from './tools.ts';

export interface EmbeddedPostgresOptions {
  /** Where everything lives: `postgres/`, `postgres.password`, `postgres.log`, `gateway.lock`. Made if missing. */
  dataDir: string;
  /** The TCP port on 127.0.0.1; 0 or nothing chooses a free one, which is then kept across restarts. */
  port?: number;
  /** Gets one line of progress at a time, fit to be shown to the person who starts Sluice. */
  log: (message: string) => void;
  /** Told when the server ended unasked. */
  onExit?: (exit: PostmasterExit) => void;
  /** Whether a server that ended unasked is started again on the same port; default true. */
  restart?: boolean;
  /** The `native` folder with `bin`, `lib` and `share`; default: the installed platform package's. */
  nativeDir?: string;
}

/** A running database; `url` stays the same until `close`, `pid` changes when the server was restarted. */
export interface EmbeddedPostgres {
  readonly url: string;
  readonly pid: number;
  close(): Promise<void>;
}

/**
 * Runs the PostgreSQL shipped with Sluice in `dataDir`, creating the cluster and the database `sluice` at the
 * first start, and keeps it running until `close`.
 *
 * @throws EmbeddedPostgresError with a code and a message that says what to do
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir);
  await mkdir(dataDir, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw asDataDirError(error, dataDir);
  });
  const lock = await acquireGatewayLock(dataDir);
  try {
    return await start(options, dataDir, lock);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function start(
  options: EmbeddedPostgresOptions,
  dataDir: string,
  lock: GatewayLock,
): Promise<EmbeddedPostgres> {
  const { log, restart = true, onExit = () => undefined } = options;
  const clusterDir = join(dataDir, 'postgres');
  const binaries = await prepareBinaries(options.nativeDir ?? requireNativeDir(), dataDir);
  const tools: Tools = { binaries, runAs: await chooseRunner(binaries, dataDir) };
  await endLeftovers(tools, clusterDir, log);
  const { password } = await ensureCluster(tools, dataDir, log);
  const base = { clusterDir, logFile: join(dataDir, 'postgres.log'), password };
  const { place, first } = await startOnPort(tools, base, options);
  log(`PostgreSQL ${first.version} ready on 127.0.0.1:${place.port}`);
  const supervisor = new Supervisor({ tools, place, log, restart, onExit }, first);
  return {
    url: databaseUrl(place),
    get pid() {
      return supervisor.pid;
    },
    async close() {
      await supervisor.close();
      await lock.release();
    },
  };
}

async function chooseRunner(binaries: Binaries, dataDir: string): Promise<Tools['runAs']> {
  const postgres = programPath(binaries, 'postgres');
  return chooseRunAs({ dataDir, clusterDir: join(dataDir, 'postgres'), postgres, env: binaries.env });
}

/** Between finding a port free and listening on it another program may take it; a chosen one is chosen anew. */
async function startOnPort(
  tools: Tools,
  base: Omit<PostmasterPlace, 'port'>,
  { port: wanted = 0, log }: EmbeddedPostgresOptions,
): Promise<{ place: PostmasterPlace; first: Postmaster }> {
  for (let attempt = 1; ; attempt += 1) {
    const place = { ...base, port: wanted === 0 ? await chooseFreePort() : wanted };
    try {
      return { place, first: await startPostmaster(tools, place, log) };
    } catch (error) {
      const taken = error instanceof EmbeddedPostgresError && error.code === 'port_in_use';
      if (!taken || wanted !== 0 || attempt === 5) throw error;
    }
  }
}
