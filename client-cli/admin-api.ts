import { readFile } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { callHttp, urlOf } from '../sdk/http.ts';
import { ApiError } from '../sdk/index.ts';
import type { Context } from './context.ts';
import { CliError, EXIT, HINTS } from './failure.ts';
import { withFreshProof } from './password-login.ts';

/** Options that every administrative command has. */
export interface AdminOptions {
  adminKeyFile?: string;
  tenantId?: number;
}

export interface AdminCall {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below `/api/v1/admin`. */
  path: string;
  body?: unknown;
}

/** An admin key. */
interface Key {
  key: string;
  /** Where it was found, as a person would say it. */
  from: string;
}

/**
 * Calls an administrative route with the key that was given (--admin-key-file, SLUICE_ADMIN_KEY, INTERNAL_API_KEY), else
 * as whoever is logged in and may, else with the key that a gateway on this machine left (DATA_DIR/admin.key).
 */
export async function callAdmin<T>(context: Context, options: AdminOptions, call: AdminCall): Promise<T> {
  const tenant = options.tenantId === undefined ? '' : `tenantId=${options.tenantId}`;
  const query = tenant === '' ? '' : `${call.path.includes('?') ? '&' : '?'}${tenant}`;
  const sent = { ...call, path: `/api/v1/admin${call.path}${query}` };
  const given = await findGivenKey(context, options);
  if (given) return withKey<T>(context, given, sent);
  const isLoggedIn = (await context.session.restore()) !== undefined;
  const tenantId = options.tenantId ?? (call.body as { tenantId?: number } | undefined)?.tenantId;
  if (isLoggedIn && (await isAdmin(context, tenantId)))
    return withFreshProof(context, () => context.session.request<T>(sent.method, sent.path, sent.body));
  const found = await findLocalKey(context);
  if (found) return withKey<T>(context, found, sent);
  if (isLoggedIn) throw lackOfRight(context);
  throw new CliError(EXIT.forbidden, 'unauthenticated', 'There is no admin key here.', HINTS.adminKey);
}

async function isAdmin({ session }: Context, tenantId: number | undefined): Promise<boolean> {
  const me = await session.request<{ user?: { tenant_id?: number }; scopes?: string[] }>('GET', '/auth/me');
  const isOwnTenant = tenantId === undefined || me.user?.tenant_id === tenantId;
  return isOwnTenant && me.scopes?.includes('admin') === true;
}

async function withKey<T>(context: Context, { key, from }: Key, call: AdminCall): Promise<T> {
  const { method, path, body } = call;
  const fetch = context.fetch ?? globalThis.fetch;
  const request = { method, url: urlOf(context.url, path), headers: { 'X-API-Key': key }, body };
  try {
    return (await callHttp(fetch, request)) as T;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    const message = `The gateway at ${context.url} does not know this key: the admin key of ${from} is not this gateway’s.`;
    const hint = `Log in (npm run sluice -- login --url ${context.url}), or give its own key with --admin-key-file or SLUICE_ADMIN_KEY.`;
    throw new CliError(EXIT.forbidden, 'wrong_admin_key', message, hint);
  }
}

function lackOfRight({ session, url }: Context): CliError {
  const who = session.user?.username ?? 'Whoever is logged in';
  const message = `${who} does not have the right to do this at ${url}.`;
  return new CliError(EXIT.forbidden, 'forbidden', message, HINTS.adminKey);
}

async function findGivenKey(context: Context, { adminKeyFile }: AdminOptions): Promise<Key | undefined> {
  const { environment } = context;
  if (adminKeyFile === undefined) {
    const { adminKey: key } = environment;
    return key === undefined ? undefined : { key, from: 'SLUICE_ADMIN_KEY or INTERNAL_API_KEY' };
  }
  const path = resolve(environment.workingDir, adminKeyFile);
  const key = await readKey(path);
  if (key !== undefined) return { key, from: adminKeyFile };
  throw new CliError(EXIT.failed, 'no_admin_key', `There is no admin key in ${path}.`);
}

async function findLocalKey({ environment }: Context): Promise<Key | undefined> {
  const { adminKeyFile: path, workingDir } = environment;
  const key = await readKey(path);
  const near = relative(workingDir, path);
  return key === undefined ? undefined : { key, from: near.startsWith('..') ? path : near };
}

async function readKey(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim() || undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new CliError(
      EXIT.failed,
      'no_admin_key',
      `The admin key in ${path} cannot be read (${code ?? 'error'}).`,
    );
  }
}
