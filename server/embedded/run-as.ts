import { execFile } from 'node:child_process';
import { chmod, readFile, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { promisify } from 'node:util';
import { createChildEnvironment } from './config.ts';
import { EmbeddedPostgresError, useDatabaseUrl } from './errors.ts';

const run = promisify(execFile);

/** Whom PostgreSQL's programs run as: it refuses root, and initdb refuses a user id without a name. */
export type RunAs =
  | { kind: 'self' }
  | { kind: 'namespace'; uid: number; gid: number }
  | { kind: 'user'; uid: number; gid: number };

interface Places {
  dataDir: string;
  clusterDir: string;
  postgres: string;
  env: Record<string, string>;
}

interface Account {
  name: string;
  uid: number;
  gid: number;
}

/**
 * Decides whom to run PostgreSQL as. Not root: ourselves. Root: inside a user namespace in which root
 * appears as an ordinary user (files keep belonging to root, no system user is made); where that is
 * forbidden, an existing unprivileged user that can reach the programs and the data folder.
 * A cluster that already belongs to a user keeps running as that user.
 *
 * @throws EmbeddedPostgresError cannot_run_as_root
 */
export async function chooseRunAs(places: Places): Promise<RunAs> {
  if (process.getuid === undefined || (process.getuid() !== 0 && hasName())) return { kind: 'self' };
  const owner = process.getuid() === 0 ? await findOwner(places.clusterDir) : undefined;
  if (owner && owner.uid !== 0) return { kind: 'user', ...owner };
  const accounts = await listAccounts();
  const mapped = accounts.find(({ uid }) => uid > 0 && uid < 65_534) ?? accounts.find(({ uid }) => uid > 0);
  if (mapped && (await works(...inNamespace(mapped, 'true', [])))) {
    return { kind: 'namespace', uid: mapped.uid, gid: mapped.gid };
  }
  const fallback = process.getuid() === 0 ? await findFallback(accounts, places) : undefined;
  if (fallback) return { kind: 'user', uid: fallback.uid, gid: fallback.gid };
  throw new EmbeddedPostgresError(
    'cannot_run_as_root',
    'PostgreSQL refuses to run as this user, user namespaces (unshare) are not allowed here, and no unprivileged ' +
      `user can reach ${places.dataDir} and ${places.postgres}: start Sluice as an ordinary user, ${useDatabaseUrl}`,
  );
}

/** The command line that runs a program inside the user namespace of `chooseRunAs`. */
export function inNamespace(
  as: { uid: number; gid: number },
  file: string,
  args: string[],
): [string, string[]] {
  return ['unshare', ['--user', `--map-user=${as.uid}`, `--map-group=${as.gid}`, '--', file, ...args]];
}

function hasName(): boolean {
  try {
    return userInfo().username !== '';
  } catch {
    return false;
  }
}

async function findOwner(path: string): Promise<{ uid: number; gid: number } | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found && { uid: found.uid, gid: found.gid };
}

async function listAccounts(): Promise<Account[]> {
  const text = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return text.split('\n').flatMap((line) => {
    const [name = '', , uid = '', gid = ''] = line.split(':');
    return name === '' || !/^-?\d+$/.test(uid) ? [] : [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}

async function findFallback(accounts: Account[], places: Places): Promise<Account | undefined> {
  // Passing through is all the user gets: what is secret in the data folder has its own mode.
  const { mode } = await stat(places.dataDir);
  await chmod(places.dataDir, mode | 0o011);
  for (const name of ['postgres', '_postgres', 'nobody']) {
    const account = accounts.find((candidate) => candidate.name === name);
    if (!account) continue;
    const as = {
      uid: account.uid,
      gid: account.gid,
      env: createChildEnvironment(places.env),
      cwd: places.dataDir,
    };
    const script = 'cd -- "$1" && exec "$2" --version';
    if (await works('/bin/sh', ['-c', script, 'sh', places.dataDir, places.postgres], as)) return account;
  }
  await chmod(places.dataDir, mode);
  return undefined;
}

async function works(file: string, args: string[], options: object = {}): Promise<boolean> {
  return run(file, args, { cwd: '/', ...options }).then(
    () => true,
    () => false,
  );
}
