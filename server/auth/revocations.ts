import type { Database, Sql } from '../db.ts';
import type { Hints } from '../hints.ts';
import type { Logger } from '../log.ts';
import { appendAudit } from '../audit.ts';
import type { Caller } from './core.ts';
import type { KeyRing } from './key-ring.ts';
import { createSocketRegistry } from './live-sockets.ts';
import type { LiveSockets } from './live-sockets.ts';
import type { SessionStates } from './session-states.ts';

/** What to end: one session, or every session of a user or an OAuth client (by UUID). */
export interface RevokeTarget {
  tenantId: number;
  kind: 'session' | 'user' | 'client';
  id: string;
}

export interface RevokeCause {
  /** Such as `logout`, `refresh_reuse`, `disabled`. */
  reason: string;
  /** `kind:id` of who did it; null for the gateway itself. */
  by: string | null;
  caller?: Caller;
}

/** Ended sessions and changed rights, on this node: the denylist, the live sockets, and news from other nodes. */
export interface Revocations {
  sockets: LiveSockets;
  isRevoked(sessionId: string): boolean;
  /** After the commit: acts on this node at once, and tells the others. */
  announceRevoked(tenantId: number, sessionIds: readonly string[]): void;
  /** After the commit: rights of `key` (see `principalKey`) have changed. */
  announceChanged(tenantId: number, key: string): void;
  announceKeys(): void;
  /** Looks into the database for what no hint told; runs by itself every second. */
  poll(): Promise<void>;
  close(): void;
}

const POLL_MS = 1_000;
/** A look goes back this far, so that a slow transaction whose time stamp is older than its commit is not missed. */
const OVERLAP_SECONDS = 15;

/**
 * Ends sessions inside the caller's transaction, with an audit row of their own. Returns the session ids, to be announced
 * after the commit. Already ended sessions are left alone.
 */
export async function revokeSessions(sql: Sql, target: RevokeTarget, cause: RevokeCause): Promise<string[]> {
  const ended = await endSessions(sql, target, cause.reason);
  await appendAudit(sql, {
    tenantId: target.tenantId,
    action: 'session.revoked',
    principal: cause.by,
    success: true,
    ip: cause.caller?.ip,
    requestId: cause.caller?.requestId,
    details: { target: `${target.kind}:${target.id}`, reason: cause.reason, sessions: ended.length },
  });
  return ended;
}

/** The same for an event whose own audit row says it already, such as a logout. */
export async function endSessions(sql: Sql, target: RevokeTarget, reason: string): Promise<string[]> {
  const which = target.kind === 'session' ? 'id = $3' : 'principal_kind = $4 AND principal_id = $3';
  const rows = await sql<{ id: string }>(
    `UPDATE sessions SET revoked_at = clock_timestamp(), revoked_reason = $2
     WHERE tenant_id = $1 AND revoked_at IS NULL AND ${which} RETURNING id`,
    [target.tenantId, reason, target.id, ...(target.kind === 'session' ? [] : [target.kind])],
  );
  return rows.map((row) => row.id);
}

export interface RevocationDeps {
  db: Database;
  hints: Hints;
  log: Logger;
  states: SessionStates;
  keys: KeyRing;
  clock: () => number;
  /** Seconds an access token lives: the denylist remembers that long and a minute more. */
  tokenLife: number;
}

/** Starts hearing and polling. Close with `close()`. */
export function startRevocations(deps: RevocationDeps): Revocations {
  const { db, hints, log, states, clock } = deps;
  const denied = new Map<string, number>();
  const sockets = createSocketRegistry((sessionId) => denied.has(sessionId));
  const applyRevoked = (sessionId: string): void => {
    denied.set(sessionId, clock() + (deps.tokenLife + 60) * 1_000);
    states.forgetSession(sessionId);
    sockets.closeSession(sessionId);
  };
  const applyChanged = (tenantId: number, key: string): void => {
    states.forgetPrincipal(tenantId, key);
    sockets.principalChanged(tenantId, key);
  };
  const news = createNews(db.sql);
  const poll = async (): Promise<void> => {
    for (const item of await news.read()) {
      if (item.kind === 'session') applyRevoked(item.id);
      else applyChanged(item.tenant_id, `${item.kind}:${item.id}`);
    }
    sockets.closeExpired(clock());
    for (const [sessionId, until] of denied) if (until <= clock()) denied.delete(sessionId);
  };
  const stopHearing = hints.subscribe('revoked', (body) => {
    const [kind, tenantId, id] = body.split(' ');
    if (kind === 'session' && id !== undefined) applyRevoked(id);
    if (kind === 'principal' && id !== undefined) applyChanged(Number(tenantId), id);
    if (kind === 'keys') void deps.keys.reload().catch((error: unknown) => warn(log, error));
  });
  const timer = startPolling(poll, log);
  return {
    sockets,
    isRevoked: (sessionId) => denied.has(sessionId),
    announceRevoked(tenantId, sessionIds) {
      for (const sessionId of sessionIds) {
        applyRevoked(sessionId);
        hints.publish('revoked', `session ${tenantId} ${sessionId}`);
      }
    },
    announceChanged(tenantId, key) {
      applyChanged(tenantId, key);
      hints.publish('revoked', `principal ${tenantId} ${key}`);
    },
    announceKeys: () => hints.publish('revoked', 'keys'),
    poll,
    close() {
      timer.stop();
      stopHearing();
    },
  };
}

interface NewsItem {
  kind: 'session' | 'user' | 'client';
  tenant_id: number;
  id: string;
  at: Date;
}

const NEWS = `
  SELECT 'session' AS kind, tenant_id, id, revoked_at AS at FROM sessions WHERE revoked_at > $1
  UNION ALL SELECT 'user', tenant_id, id, changed_at FROM users WHERE changed_at > $1
  UNION ALL SELECT 'client', tenant_id, id, changed_at FROM oauth_clients WHERE changed_at > $1`;

/** Reads what changed since the last look, each thing once, by the database's clock. */
function createNews(sql: Sql): { read(): Promise<NewsItem[]> } {
  let since: Date | undefined;
  let told = new Set<string>();
  const name = (item: NewsItem): string => `${item.kind}:${item.id}:${item.at.getTime()}`;
  return {
    async read() {
      const [clockRow] = await sql<{ since: Date }>(
        `SELECT clock_timestamp() - make_interval(secs => $1) AS since`,
        [OVERLAP_SECONDS],
      );
      const items = await sql<NewsItem>(NEWS, [since ?? clockRow?.since]);
      since = clockRow?.since;
      const fresh = items.filter((item) => !told.has(name(item)));
      told = new Set(items.map(name));
      return fresh;
    },
  };
}

/** One look at a time; a failed look is repeated and goes as far back as the last good one. */
function startPolling(poll: () => Promise<void>, log: Logger): { stop(): void } {
  let stopped = false;
  let timer: NodeJS.Timeout;
  const next = (): void => {
    timer = setTimeout(() => {
      poll()
        .catch((error: unknown) => {
          if (!stopped) warn(log, error);
        })
        .finally(() => {
          if (!stopped) next();
        });
    }, POLL_MS);
  };
  next();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

function warn(log: Logger, error: unknown): void {
  log.warn(
    { err: error instanceof Error ? error.message : String(error) },
    'revocations could not be looked up',
  );
}
