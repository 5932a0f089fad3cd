import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { urlOf } from '../sdk/http.ts';
import type { Fetch, Session, SessionStorage, SessionUser } from '../sdk/index.ts';
import { createSession } from '../sdk/index.ts';
import { withFileLock } from './file-lock.ts';
import type { SavedSession, SessionFile } from './session-file.ts';

export interface SharedSessionDeps {
  baseUrl: string;
  file: SessionFile;
  fetch?: Fetch | undefined;
  now: () => number;
}

/** An access token with less life than this is not taken over from the file. */
const MIN_LIFE_MS = 30_000;
const HTTP_TIMEOUT_MS = 20_000;

const tokenAnswer = z.object({
  access_token: z.string().min(1),
  expires_in: z.number(),
  refresh_token: z.string().min(1).optional(),
  user: z
    .looseObject({ id: z.coerce.string(), username: z.string() })
    .transform((user) => user as SessionUser)
    .optional(),
});

/**
 * The SDK's session on a file that several processes share. Refreshing reads, asks and writes under one lock: two
 * processes never send the same refresh token, and one that waited takes the access token the other has just got.
 */
export function createSharedSession(deps: SharedSessionDeps): Session {
  const { baseUrl, file, now } = deps;
  const inner = deps.fetch ?? globalThis.fetch.bind(globalThis);
  const timed: Fetch = (input, init) =>
    inner(input, { ...init, signal: init?.signal ?? AbortSignal.timeout(HTTP_TIMEOUT_MS) });
  const state: Shared = { file, now, baseUrl, fetch: timed, given: undefined, written: new Set() };
  const fetch: Fetch = (input, init) => {
    const path = new URL(toUrl(input)).pathname;
    if (path.endsWith('/auth/refresh')) return locked(state, () => refresh(state, toUrl(input), init));
    if (/\/api\/login(\/mfa)?$/.test(path)) return locked(state, () => login(state, toUrl(input), init));
    if (path.endsWith('/oauth/token')) return locked(state, () => grant(state, toUrl(input), init));
    return timed(input, init);
  };
  return createSession({ baseUrl, fetch, now, storage: storageOf(state) });
}

interface Shared {
  file: SessionFile;
  baseUrl: string;
  fetch: Fetch;
  now: () => number;
  /** The access token this process has; asked for another one, it has been refused or is running out. */
  given: string | undefined;
  /** Refresh tokens this process has seen: only a session of these may it remove. */
  written: Set<string>;
}

async function locked<T>({ file }: Shared, fn: () => Promise<T>): Promise<T> {
  await mkdir(dirname(file.path), { recursive: true, mode: 0o700 });
  return withFileLock(file.path, fn);
}

async function refresh(state: Shared, url: string, init: RequestInit | undefined): Promise<Response> {
  const saved = await state.file.read();
  if (!saved) return state.fetch(url, init);
  state.written.add(saved.refreshToken);
  const lifeMs = (saved.accessExpiresAt ?? 0) - state.now();
  if (saved.accessToken !== undefined && saved.accessToken !== state.given && lifeMs > MIN_LIFE_MS) {
    state.given = saved.accessToken;
    return Response.json({
      access_token: saved.accessToken,
      expires_in: lifeMs / 1_000,
      refresh_token: saved.refreshToken,
      user: saved.user,
    });
  }
  const body = JSON.stringify({ refresh_token: saved.refreshToken });
  return keep(state, await state.fetch(url, { ...init, body }), saved);
}

async function login(state: Shared, url: string, init: RequestInit | undefined): Promise<Response> {
  return keep(state, await state.fetch(url, init));
}

/** A token endpoint does not say whose token it gives: asked for once here, so that the file has it. */
async function grant(state: Shared, url: string, init: RequestInit | undefined): Promise<Response> {
  const response = await state.fetch(url, init);
  if (!response.ok) return response;
  const answer = (await response.json()) as { access_token?: string };
  const headers = { authorization: `Bearer ${answer.access_token ?? ''}` };
  const me = await state.fetch(urlOf(state.baseUrl, '/auth/me'), { headers });
  const { user } = (me.ok ? await me.json() : {}) as { user?: unknown };
  return keep(state, Response.json({ ...answer, ...(user === undefined ? {} : { user }) }));
}

/** Writes what an answer brought while the lock is still held. */
async function keep(state: Shared, response: Response, before?: SavedSession): Promise<Response> {
  if (!response.ok) return response;
  const parsed = tokenAnswer.safeParse(
    await response
      .clone()
      .json()
      .catch(() => undefined),
  );
  const refreshToken = parsed.data?.refresh_token ?? before?.refreshToken;
  if (!parsed.success || refreshToken === undefined) return response;
  const { access_token: accessToken, expires_in: seconds, user = before?.user } = parsed.data;
  const accessExpiresAt = state.now() + seconds * 1_000;
  state.given = accessToken;
  state.written.add(refreshToken);
  await state.file.write({ url: state.baseUrl, refreshToken, user, accessToken, accessExpiresAt });
  return response;
}

/** What the SDK's session sees of the file. Its saves have happened already, under the lock. */
function storageOf(state: Shared): SessionStorage {
  const { file, written } = state;
  return {
    async load() {
      const saved = await file.read();
      if (!saved) return undefined;
      written.add(saved.refreshToken);
      return { refreshToken: saved.refreshToken, ...(saved.user && { user: saved.user }) };
    },
    async save({ refreshToken, user }) {
      if (written.has(refreshToken)) return;
      written.add(refreshToken);
      await locked(state, () => file.write({ url: state.baseUrl, refreshToken, user }));
    },
    clear: () =>
      locked(state, async () => {
        const saved = await file.read();
        // Another process may have logged in anew: that session is not ours to end.
        if (saved && written.has(saved.refreshToken)) await file.remove();
      }),
  };
}

function toUrl(input: Parameters<Fetch>[0]): string {
  return typeof input === 'string' ? input : input instanceof URL ? input.href : input.url;
}
