import { ApiError } from './errors.ts';
import { callHttp, urlOf } from './http.ts';
import type { Fetch, Session, TokenSource } from './types.ts';

export interface AuthorizedRequestDeps {
  baseUrl: string;
  fetch: Fetch;
  tokens: TokenSource;
  headers?: Record<string, string>;
  cookies?: boolean;
}

/** Refusals of what was sent with a good token: a fresh one changes nothing, and a guess would count twice. */
const NOT_THE_TOKEN = new Set(['invalid_credentials', 'mfa_required', 'reauthentication_required']);

/** Calls with the bearer token; one that is refused (401) is tried once more with a fresh one. */
export function createAuthorizedRequest(deps: AuthorizedRequestDeps): Session['request'] {
  const { baseUrl, fetch, tokens, headers, cookies = false } = deps;
  const send = async (
    call: { method: string; path: string; body?: unknown },
    force: boolean,
  ): Promise<unknown> => {
    const token = await tokens.getAccessToken({ forceRefresh: force });
    const { method, path, body } = call;
    const authorization = `Bearer ${token}`;
    return callHttp(fetch, {
      method,
      url: urlOf(baseUrl, path),
      headers: { ...headers, authorization },
      body,
      cookies,
    });
  };
  return async <T = unknown>(method: string, path: string, body?: unknown): Promise<T> => {
    const call = { method, path, body };
    try {
      return (await send(call, false)) as T;
    } catch (error) {
      const stale = error instanceof ApiError && error.status === 401 && !NOT_THE_TOKEN.has(error.code);
      if (!stale) throw error;
      return (await send(call, true)) as T;
    }
  };
}
