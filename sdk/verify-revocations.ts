import { z } from 'zod';
import { retryDelay } from './backoff.ts';
import type { Fetch, TokenSource } from './types.ts';
import { TokenError } from './verify-errors.ts';

export interface RevocationOptions {
  /** Of a client or a key with the scope `auth:revocations`, such as `createMachineSession` makes. */
  tokens: TokenSource;
  /** Left out: `<issuer>/auth/revocations`. */
  url?: string;
  /** How old the last news may be; then nothing is taken any more. Left out: 60,000. */
  maxStaleMs?: number;
  /** How long one question waits for news, 25 s at the most. Left out: 20,000. */
  waitMs?: number;
}

/** The sessions that have ended, as the issuer tells them. */
export interface RevocationWatch {
  /** Resolves once the feed has been read to its end; rejects with `unavailable` when that fails. */
  ready(): Promise<void>;
  /** Throws `revoked`, `wrong_tenant`, `unavailable`. */
  check(token: { sessionId: string; tenantId: number }): void;
  close(): void;
}

/** As often everything is read anew, whatever the cursor says: a restored database may have forgotten what it gave out. */
const ANEW_MS = 60_000;
const GAP_MS = 200;
/** Beyond what the question waits for. */
const PATIENCE_MS = 10_000;
const BACKOFF = { baseMs: 250, capMs: 5_000, stableMs: 0, longestMs: Infinity };

const pageShape = z.object({
  tenant: z.int(),
  forget_after: z.number().positive(),
  cursor: z.string(),
  more: z.boolean(),
  revoked: z.array(z.object({ sid: z.string() })),
});

interface WatchOptions extends RevocationOptions {
  url: string;
  fetch: Fetch;
  now: () => number;
}

/** Begins to read, and goes on until `close()`. */
export function startRevocationWatch(options: WatchOptions): RevocationWatch {
  const { now, maxStaleMs = 60_000 } = options;
  const feed = createFeed(options);
  const closing = new AbortController();
  const waiting: (() => void)[] = [];
  const follow = async (): Promise<void> => {
    for (let failures = 0; !closing.signal.aborted;) {
      const asked = now();
      try {
        await feed.read(closing.signal);
        failures = 0;
      } catch (error) {
        feed.fault = error;
        failures += 1;
      }
      if (failures === 0 && !feed.isComplete) continue;
      for (const tell of waiting.splice(0)) tell();
      // news that come in one after the other are fetched together
      if (failures === 0) await pause(GAP_MS - (now() - asked), closing.signal);
      else await pause(retryDelay(BACKOFF, Math.random, { attempt: failures - 1 }), closing.signal);
    }
  };
  void follow();
  const isKnown = (): boolean => now() - feed.freshAt <= maxStaleMs;
  return {
    async ready() {
      if (feed.freshAt === -Infinity && !closing.signal.aborted)
        await new Promise<void>((resolve) => waiting.push(resolve));
      if (!isKnown()) throw unknown(feed.fault);
    },
    check({ sessionId, tenantId }) {
      if (!isKnown()) throw unknown(feed.fault);
      if (tenantId !== feed.tenant)
        throw new TokenError('wrong_tenant', 'The token belongs to another tenant.');
      if (feed.hasEnded(sessionId)) throw new TokenError('revoked', 'The session of the token has ended.');
    },
    close() {
      closing.abort();
      for (const tell of waiting.splice(0)) tell();
    },
  };
}

interface Feed {
  /** Whose sessions it tells of. */
  tenant: number | undefined;
  /** When all there was had been read, in epoch milliseconds. */
  freshAt: number;
  /** The last answer went to the end of what there was. */
  isComplete: boolean;
  fault: unknown;
  /** Reads one page, waiting for news where there are none. */
  read(signal: AbortSignal): Promise<void>;
  hasEnded(sessionId: string): boolean;
}

function createFeed(options: WatchOptions): Feed {
  const { now, tokens, waitMs = 20_000 } = options;
  /** Until when the session's tokens could count. */
  const ended = new Map<string, number>();
  let cursor: string | undefined;
  let begunAt = -Infinity;
  let wasRefused = false;
  const forget = (): void => {
    for (const [sessionId, until] of ended) if (until <= now()) ended.delete(sessionId);
  };
  const feed: Feed = {
    tenant: undefined,
    freshAt: -Infinity,
    isComplete: true,
    fault: undefined,
    hasEnded: (sessionId) => ended.has(sessionId),
    async read(signal) {
      if (feed.isComplete && now() - begunAt >= ANEW_MS) cursor = undefined;
      if (cursor === undefined) begunAt = now();
      const token = await tokens.getAccessToken(wasRefused ? { forceRefresh: true } : {});
      const response = await ask(options, { token, cursor, waitMs, signal });
      wasRefused = response.status === 401;
      // a cursor of another database, perhaps
      if (response.status === 400) cursor = undefined;
      if (!response.ok) throw new Error(`${options.url} answered ${response.status}`);
      const page = pageShape.parse(await response.json());
      feed.tenant = page.tenant;
      for (const { sid } of page.revoked) ended.set(sid, now() + page.forget_after * 1_000);
      cursor = page.cursor;
      feed.isComplete = !page.more;
      if (page.more) return;
      feed.freshAt = now();
      forget();
    },
  };
  return feed;
}

async function ask(
  { url, fetch }: WatchOptions,
  asked: { token: string; cursor: string | undefined; waitMs: number; signal: AbortSignal },
): Promise<Response> {
  const { token, cursor, waitMs, signal } = asked;
  const target = new URL(url);
  target.searchParams.set('wait', String(waitMs / 1_000));
  if (cursor !== undefined) target.searchParams.set('since', cursor);
  return fetch(target, {
    headers: { authorization: `Bearer ${token}`, accept: 'application/json' },
    redirect: 'error',
    signal: AbortSignal.any([signal, AbortSignal.timeout(waitMs + PATIENCE_MS)]),
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    signal.addEventListener('abort', over);
  });
}

function unknown(cause: unknown): TokenError {
  return new TokenError('unavailable', 'Which sessions have ended is not known well enough.', { cause });
}
