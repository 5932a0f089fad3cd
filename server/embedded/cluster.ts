import { randomBytes } from 'node:crypto';
import { chown, mkdir, readdir, readFile, rename, rm, rmdir, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asDataDirError, diskFull, EmbeddedPostgresError, findErrno, useDatabaseUrl } from './errors.ts';
import { runProgram, type Tools } from './tools.ts';

/** The role and the database Sluice uses; the role owns the cluster. */
export const databaseName = 'sluice';

const unfinishedPrefix = 'postgres.new-';

/** Written to postgresql.conf once, where an operator may tune it. */
const tunable = { shared_buffers: '128MB', max_connections: '100', timezone: 'UTC', log_timezone: 'UTC' };

/**
 * Makes sure that `<dataDir>/postgres` holds a cluster of this major version and returns its password. A new
 * one is built beside its final place and renamed when complete: one that was interrupted is thrown away.
 *
 * @throws EmbeddedPostgresError data_dir_version, data_dir_foreign, initdb_failed, disk_full, data_dir_unwritable
 */
export async function ensureCluster(
  tools: Tools,
  dataDir: string,
  log: (message: string) => void,
): Promise<{ clusterDir: string; password: string }> {
  const clusterDir = join(dataDir, 'postgres');
  try {
    await removeUnfinished(dataDir);
    const exists = await checkExisting(tools, clusterDir);
    const kept = await findPassword(dataDir);
    const password = kept ?? (await createPassword(dataDir));
    if (!exists) await createCluster(tools, { dataDir, clusterDir, password }, log);
    else if (kept === undefined) await replacePassword(tools, clusterDir, password);
    return { clusterDir, password };
  } catch (error) {
    throw asDataDirError(error, dataDir);
  }
}

/**
 * The major version of the shipped server; running it also proves that it runs here.
 *
 * @throws EmbeddedPostgresError binaries_unusable
 */
export async function requireMajor(tools: Tools): Promise<number> {
  const { output } = await runProgram(tools, 'postgres', ['--version']);
  const major = /\(PostgreSQL\) (\d+)/.exec(output)?.[1];
  if (major) return Number(major);
  throw new EmbeddedPostgresError(
    'binaries_unusable',
    `the embedded PostgreSQL does not run on this system (${output.trim()}): it needs glibc on Linux; ${useDatabaseUrl}`,
  );
}

async function removeUnfinished(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    if (!name.startsWith(unfinishedPrefix)) continue;
    // The initdb of a killed gateway may still be writing there; what is left of it waits for the next start.
    const options = { recursive: true, force: true, maxRetries: 5, retryDelay: 50 };
    await rm(join(dataDir, name), options).catch(() => undefined);
  }
}

async function checkExisting(tools: Tools, clusterDir: string): Promise<boolean> {
  const entries = await readdir(clusterDir).catch((error: unknown) => {
    if (findErrno(error) === 'ENOENT') return undefined;
    throw error;
  });
  const major = await requireMajor(tools);
  if (entries === undefined) return false;
  if (entries.length === 0) {
    await rmdir(clusterDir);
    return false;
  }
  const version = (await readFile(join(clusterDir, 'PG_VERSION'), 'utf8').catch(() => '')).trim();
  if (version === '') {
    const message = `${clusterDir} is not a PostgreSQL data folder and not empty: move it away, or choose another DATA_DIR`;
    throw new EmbeddedPostgresError('data_dir_foreign', message);
  }
  if (version === String(major)) return true;
  throw new EmbeddedPostgresError(
    'data_dir_version',
    `${clusterDir} was made by PostgreSQL ${version}, this Sluice brings PostgreSQL ${major}: dump and restore it ` +
      `(pg_dumpall), choose another DATA_DIR, ${useDatabaseUrl}`,
  );
}

async function findPassword(dataDir: string): Promise<string | undefined> {
  const text = await readFile(join(dataDir, 'postgres.password'), 'utf8').catch((error: unknown) => {
    if (findErrno(error) === 'ENOENT') return '';
    throw error;
  });
  return text.trim() === '' ? undefined : text.trim();
}

async function createPassword(dataDir: string): Promise<string> {
  const password = randomBytes(32).toString('base64url');
  const path = join(dataDir, 'postgres.password');
  await writeFile(`${path}.new`, `${password}\n`, { mode: 0o600, flush: true });
  await rename(`${path}.new`, path);
  return password;
}

async function createCluster(
  tools: Tools,
  place: { dataDir: string; clusterDir: string; password: string },
  log: (message: string) => void,
): Promise<void> {
  log(`creating the database cluster in ${place.clusterDir}`);
  const building = join(place.dataDir, `${unfinishedPrefix}${randomBytes(6).toString('hex')}`);
  // Beside the cluster, not in it: initdb wants an empty folder. Named so that a leftover is swept as well.
  const passwordFile = `${building}.password`;
  await mkdir(building, { mode: 0o700 });
  await writeFile(passwordFile, place.password, { mode: 0o600 });
  if (tools.runAs.kind === 'user') {
    for (const path of [building, passwordFile]) await chown(path, tools.runAs.uid, tools.runAs.gid);
  }
  const { code, output } = await runProgram(tools, 'initdb', initdbArguments(building, passwordFile));
  await rm(passwordFile, { force: true });
  if (code === 0) return rename(building, place.clusterDir);
  await rm(building, { recursive: true, force: true });
  if (/no space left|disk quota/i.test(output) || (await isNearlyFull(place.dataDir)))
    throw diskFull(place.dataDir);
  throw new EmbeddedPostgresError(
    'initdb_failed',
    `initdb failed (exit code ${code ?? 'none'}): ${lastLines(output)}`,
  );
}

/** A server that runs out of space early on panics without naming the cause; a cluster takes about 40 MB. */
async function isNearlyFull(dataDir: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(dataDir);
  return bavail * bsize < 64 * 1024 * 1024;
}

function initdbArguments(pgData: string, passwordFile: string): string[] {
  const settings = Object.entries(tunable).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return [
    ...['-D', pgData, `--pwfile=${passwordFile}`, `--username=${databaseName}`, '--auth=scram-sha-256'],
    ...['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
    ...['--no-instructions', ...settings],
  ];
}

/** The password file was lost: the owner of the files may set a new one, without a server running. */
async function replacePassword(tools: Tools, clusterDir: string, password: string): Promise<void> {
  const statement = `ALTER ROLE ${databaseName} PASSWORD '${password}'\n`;
  const args = ['--single', '-D', clusterDir, '-c', 'log_min_error_statement=panic', 'postgres'];
  const { code, output } = await runProgram(tools, 'postgres', args, statement);
  if (code === 0 && !/\b(ERROR|FATAL)\b/.test(output)) return;
  throw new EmbeddedPostgresError('password_mismatch', 'postgres.password is lost and could not be replaced');
}

function lastLines(output: string): string {
  return output.trim().split('\n').slice(-4).join(' | ');
}
