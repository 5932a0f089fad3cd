import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { callHttp, urlOf } from '../sdk/http.ts';
import type { Context } from './context.ts';
import { CliError, EXIT, HINTS } from './failure.ts';

/** Options that every administrative command has. */
export interface AdminOptions {
  adminKeyFile?: string;
  tenantId?: number;
}

export interface AdminCall {
  method: 'GET' | 'POST' | 'PATCH';
  /** Below `/api/v1/admin`. */
  path: string;
  body?: unknown;
}

/**
 * Calls an administrative route with the admin key, or as the person logged in when there is no key. The key comes from
 * --admin-key-file, SLUICE_ADMIN_KEY, INTERNAL_API_KEY or DATA_DIR/admin.key, in this order.
 */
export async function callAdmin<T>(context: Context, options: AdminOptions, call: AdminCall): Promise<T> {
  const tenant = options.tenantId === undefined ? '' : `tenantId=${options.tenantId}`;
  const query = tenant === '' ? '' : `${call.path.includes('?') ? '&' : '?'}${tenant}`;
  const path = `/api/v1/admin${call.path}${query}`;
  const key = await findAdminKey(context, options);
  if (key === undefined) return asPerson<T>(context, { ...call, path });
  const fetch = context.fetch ?? globalThis.fetch;
  const url = urlOf(context.url, path);
  const headers = { 'X-API-Key': key };
  return (await callHttp(fetch, { method: call.method, url, headers, body: call.body })) as T;
}

async function asPerson<T>(context: Context, { method, path, body }: AdminCall): Promise<T> {
  const user = await context.session.restore();
  if (!user)
    throw new CliError(EXIT.forbidden, 'unauthenticated', 'There is no admin key here.', HINTS.adminKey);
  return context.session.request<T>(method, path, body);
}

async function findAdminKey(context: Context, { adminKeyFile }: AdminOptions): Promise<string | undefined> {
  const { environment } = context;
  if (adminKeyFile !== undefined) {
    const path = resolve(environment.workingDir, adminKeyFile);
    const key = await readKey(path);
    if (key !== undefined) return key;
    throw new CliError(EXIT.failed, 'no_admin_key', `There is no admin key in ${path}.`);
  }
  return environment.adminKey ?? readKey(environment.adminKeyFile);
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
