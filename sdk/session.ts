import { z } from 'zod';
import { createAuthorizedRequest } from './authorized-request.ts';
import type { Emitter } from './emitter.ts';
import { createEmitter } from './emitter.ts';
import { ApiError } from './errors.ts';
import { urlOf } from './http.ts';
import { postWithProof } from './proof-of-work.ts';
import { createTokenCache } from './token-cache.ts';
import type { IssuedToken, TokenCache } from './token-cache.ts';
import type {
  Fetch,
  Session,
  SessionOptions,
  SessionStorage,
  SessionUser,
  StoredSession,
  Unlisten,
} from './types.ts';

const user = z
  .looseObject({ id: z.coerce.string(), username: z.string() })
  .transform((parsed) => parsed as SessionUser);

const loginAnswer = z.object({
  access_token: z.string().min(1),
  expires_in: z.number().positive(),
  refresh_token: z.string().min(1).optional(),
  user: user.optional(),
});
type LoginAnswer = z.infer<typeof loginAnswer>;

const messageAnswer = z.object({ message: z.string().default('') });
const signupAnswer = messageAnswer.extend({ user_id: z.coerce.string().optional() });

/** Marks calls of the SPA: another site cannot set it, and the gateway then keeps the refresh token in a cookie. */
const WEB_HEADERS = { 'X-Sluice-Web': '1' };

/**
 * A person's session over HTTP. The access token is kept in memory only. In a browser (`web`) the refresh token is an
 * HttpOnly cookie that no script sees; elsewhere `storage` keeps it.
 */
export function createSession(options: SessionOptions): Session {
  return new PersonSession(options);
}

class PersonSession implements Session {
  readonly #baseUrl: string;
  readonly #fetch: Fetch;
  readonly #web: boolean;
  readonly #storage: SessionStorage;
  readonly #inTurn: NonNullable<SessionOptions['inTurn']>;
  readonly #beforeLogin: () => Promise<void>;
  readonly #events: Emitter<{ change: SessionUser | undefined }> = createEmitter(() => undefined);
  readonly #tokens: TokenCache;
  readonly request: Session['request'];
  #user: SessionUser | undefined;

  constructor(options: SessionOptions) {
    const { baseUrl, web = false, fetch, storage, now = Date.now, inTurn, beforeLogin } = options;
    this.#baseUrl = baseUrl;
    this.#web = web;
    this.#fetch = fetch ?? globalThis.fetch.bind(globalThis);
    this.#storage = web ? NO_STORAGE : (storage ?? createMemoryStorage());
    this.#inTurn = inTurn ?? ((renew) => renew());
    this.#beforeLogin = beforeLogin ?? (() => Promise.resolve());
    this.#tokens = createTokenCache(now, () => this.#refresh());
    this.request = createAuthorizedRequest({
      baseUrl,
      fetch: this.#fetch,
      tokens: this.#tokens,
      headers: this.#headers,
      cookies: web,
    });
  }

  get user(): SessionUser | undefined {
    return this.#user;
  }

  getAccessToken(options?: { forceRefresh?: boolean }): Promise<string> {
    return this.#tokens.getAccessToken(options);
  }

  onChange(listener: (user: SessionUser | undefined) => void): Unlisten {
    return this.#events.on('change', listener);
  }

  async signup(input: {
    username: string;
    email: string;
    password: string;
  }): Promise<{ message: string; userId?: string }> {
    const { message, user_id: userId } = signupAnswer.parse(await this.#post('/api/signup', input));
    return { message, ...(userId === undefined ? {} : { userId }) };
  }

  async verifyEmail(input: {
    code: string;
    email?: string;
    username?: string;
  }): Promise<{ message: string }> {
    return messageAnswer.parse(await this.#post('/api/verify-email', input));
  }

  async resendVerification(input: { email: string }): Promise<{ message: string }> {
    return messageAnswer.parse(await this.#post('/api/resend-verification', input));
  }

  login({ tenantId, ...input }: Parameters<Session['login']>[0]): Promise<SessionUser> {
    return this.loginBy('/api/login', { ...input, ...(tenantId !== undefined && { tenant_id: tenantId }) });
  }

  async loginBy(path: string, body: unknown): Promise<SessionUser> {
    await this.#beforeLogin();
    const answer = parseLogin(await this.#post(path, body));
    this.#tokens.clear();
    this.#tokens.set(await this.#take(answer));
    return this.#user ?? (await this.me());
  }

  async logout(): Promise<void> {
    try {
      // The cookie says whose session it is: no fresh token is needed, and what was not heard can be said again.
      if (this.#web) await this.#post('/auth/logout', {}, this.#tokens.held());
      else await this.request('POST', '/auth/logout', {});
    } catch (error) {
      // Ended already is what was wanted.
      if (!(error instanceof ApiError && error.status === 401)) throw error;
    } finally {
      await this.#end();
    }
  }

  forget(): Promise<void> {
    return this.#end();
  }

  async me(): Promise<SessionUser> {
    const answer = await this.request<{ user?: unknown }>('GET', '/auth/me');
    const me = user.parse(answer.user ?? answer);
    this.#become(me);
    return me;
  }

  async restore(): Promise<SessionUser | undefined> {
    if (!this.#web && !(await this.#storage.load())) return undefined;
    try {
      await this.#tokens.getAccessToken();
      return this.#user ?? (await this.me());
    } catch (error) {
      if (endsSession(error)) return undefined;
      throw error;
    }
  }

  get #headers(): Record<string, string> {
    return this.#web ? WEB_HEADERS : {};
  }

  #post(path: string, body: unknown, token?: string): Promise<unknown> {
    const url = urlOf(this.#baseUrl, path);
    const headers = {
      ...this.#headers,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    };
    const call = { method: 'POST', url, headers, body, cookies: this.#web };
    return postWithProof(this.#fetch, call);
  }

  async #refresh(): Promise<IssuedToken> {
    const stored = await this.#storage.load();
    if (!stored && !this.#web) throw notLoggedIn();
    try {
      const body = stored ? { refresh_token: stored.refreshToken } : {};
      const answer = await this.#inTurn(() => this.#post('/auth/refresh', body));
      return await this.#take(parseLogin(answer), stored);
    } catch (error) {
      if (endsSession(error)) await this.#end();
      throw error;
    }
  }

  async #take(answer: LoginAnswer, stored?: StoredSession): Promise<IssuedToken> {
    const next = answer.user ?? stored?.user;
    const refreshToken = answer.refresh_token ?? stored?.refreshToken;
    // Stored before it is used: a rotated token that is lost ends the session.
    if (refreshToken !== undefined) await this.#storage.save({ refreshToken, ...(next && { user: next }) });
    if (next) this.#become(next);
    return { token: answer.access_token, expiresIn: answer.expires_in };
  }

  async #end(): Promise<void> {
    this.#tokens.clear();
    await this.#storage.clear();
    this.#become(undefined);
  }

  #become(next: SessionUser | undefined): void {
    const changed = next?.id !== this.#user?.id;
    this.#user = next;
    if (changed) this.#events.emit('change', next);
  }
}

function parseLogin(body: unknown): LoginAnswer {
  const parsed = loginAnswer.safeParse(body);
  if (parsed.success) return parsed.data;
  const message = 'The gateway answered the login without a token.';
  throw new ApiError({ status: 502, code: 'invalid_response', message });
}

/** What the gateway says of a session that is over; `unauthenticated`: the browser has no cookie of it. */
const ENDS: ReadonlySet<string> = new Set(['unauthenticated', 'invalid_token', 'token_expired', 'revoked']);

/** Anything else may pass: an address that is not let in, a proxy's refusal, a gateway that is away. */
function endsSession(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401 && ENDS.has(error.code);
}

function notLoggedIn(): ApiError {
  return new ApiError({ status: 401, code: 'unauthenticated', message: 'Not logged in: log in first.' });
}

/** In browsers the cookie is the storage. */
const NO_STORAGE: SessionStorage = {
  load: () => Promise.resolve(undefined),
  save: () => Promise.resolve(),
  clear: () => Promise.resolve(),
};

function createMemoryStorage(): SessionStorage {
  let stored: StoredSession | undefined;
  return {
    load: () => Promise.resolve(stored),
    save(session) {
      stored = session;
      return Promise.resolve();
    },
    clear() {
      stored = undefined;
      return Promise.resolve();
    },
  };
}
