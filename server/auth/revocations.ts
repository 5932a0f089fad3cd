import type { Database, Sql } from '../db.ts';
import type { Hints } from '../hints.ts';
import type { Logger } from '../log.ts';
import { appendAudit } from '../audit.ts';
import type { AddressRules } from './address-rules.ts';
import type { ApiKeyStates } from './api-key-states.ts';
import type { Caller } from './core.ts';
import type { KeyRing } from './key-ring.ts';
import { createSocketRegistry } from './live-sockets.ts';
import type { LiveSockets } from './live-sockets.ts';
import { measureDelays } from './revoke-delays.ts';
import type { DisconnectListener, Heard } from './revoke-delays.ts';
import type { SessionStates } from './session-states.ts';

/** What to end: one session, every session of a user, a device or an OAuth client, or an API key (by UUID). */
export interface RevokeTarget {
  tenantId: number;
  kind: 'session' | 'user' | 'device' | 'client' | 'api_key';
  id: string;
  /** A session that stays: the one that asks. */
  except?: string;
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
  /** The same for many: in slices, between which others get their turn, here and on the other nodes. */
  announceAllChanged(tenantId: number, keys: readonly string[]): Promise<void>;
  announceKeys(): void;
  /** After the commit: the addresses that a tenant lets in have changed. */
  announceAddresses(tenantId: number): void;
  /** Told of each tenant in which sessions have ended. A word may come late, twice or never. Returns how to stop. */
  subscribe(listener: (tenantId: number) => void): () => void;
  /** Looks into the database for what no hint told; runs by itself every second. */
  poll(): Promise<void>;
  close(): void;
}

const POLL_MS = 1_000;
const SWEEP_MS = 60_000;
/** A look goes back this far, so that a slow transaction whose time stamp is older than its commit is not missed. */
const OVERLAP_SECONDS = 15;
/** Pieces of news in one turn of the event loop. */
const SLICE = 50;

/** The transaction that ends a session, for the feed of ended sessions (revocation-feed.ts). */
export const CURRENT_XID = 'pg_current_xact_id()::text::bigint';

/**
 * Ends sessions inside the caller's transaction, with an audit row of their own. Returns the session ids, to be announced
 * after the commit. Already ended sessions are left alone, and a single one that has ended leaves no row.
 */
export async function revokeSessions(sql: Sql, target: RevokeTarget, cause: RevokeCause): Promise<string[]> {
  const ended = await endSessions(sql, target, cause.reason);
  if (target.kind === 'session' && ended.length === 0) return ended;
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

/**
 * The same for an event whose own audit row says it already, such as a logout. A person is locked before their sessions: what opens
 * one for an older one's sake, such as a terminal's, is seen here, or sees that the older one has ended.
 */
export async function endSessions(sql: Sql, target: RevokeTarget, reason: string): Promise<string[]> {
  if (target.kind === 'user')
    await sql('SELECT 1 FROM users WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE', [
      target.tenantId,
      target.id,
    ]);
  const which = target.kind === 'session' ? 'id = $3' : 'principal_kind = $5 AND principal_id = $3';
  const rows = await sql<{ id: string }>(
    `UPDATE sessions SET revoked_at = clock_timestamp(), revoked_reason = $2, revoked_xid = ${CURRENT_XID}
     WHERE tenant_id = $1 AND revoked_at IS NULL AND ($4::uuid IS NULL OR id <> $4) AND ${which} RETURNING id`,
    [
      target.tenantId,
      reason,
      target.id,
      target.except ?? null,
      ...(target.kind === 'session' ? [] : [target.kind]),
    ],
  );
  return rows.map((row) => row.id);
}

export interface RevocationDeps {
  db: Database;
  hints: Hints;
  log: Logger;
  states: SessionStates;
  apiKeys: ApiKeyStates;
  addressRules: Pick<AddressRules, 'forget'>;
  keys: KeyRing;
  clock: () => number;
  /** Seconds an access token lives: the denylist remembers that long and a minute more. */
  tokenLife: number;
  onDisconnect?: DisconnectListener | undefined;
}

/** Starts hearing and polling. Close with `close()`. */
export function startRevocations(deps: RevocationDeps): Revocations {
  const { db, hints, log } = deps;
  const effects = createEffects(deps);
  const { sockets } = effects;
  const news = createNews(db.sql);
  const poll = async (): Promise<void> => {
    await inSlices(await news.read(), (item) => {
      if (item.kind === 'session') effects.revoked(item.tenant_id, item.id, 'poll');
      else if (item.kind === 'addresses') effects.addresses(item.tenant_id);
      else effects.changed(item.tenant_id, `${item.kind}:${item.id}`);
    });
  };
  const stopHearing = hints.subscribe('revoked', (body) => {
    const [kind, tenantId, id] = body.split(' ');
    if (kind === 'session' && id !== undefined) effects.revoked(Number(tenantId), id, 'hint');
    if (kind === 'principal' && id !== undefined) effects.changed(Number(tenantId), id);
    if (kind === 'addresses') effects.addresses(Number(tenantId));
    if (kind === 'keys') void deps.keys.reload().catch((error: unknown) => warn(log, error));
  });
  const timer = startPolling(poll, log);
  const sweeping = setInterval(() => effects.sweep(), SWEEP_MS);
  const announceChanged = (tenantId: number, key: string): void => {
    effects.changed(tenantId, key);
    hints.publish('revoked', `principal ${tenantId} ${key}`);
  };
  return {
    sockets,
    isRevoked: effects.isRevoked,
    announceRevoked(tenantId, sessionIds) {
      for (const sessionId of sessionIds) {
        effects.revoked(tenantId, sessionId, 'here');
        hints.publish('revoked', `session ${tenantId} ${sessionId}`);
      }
    },
    announceChanged,
    announceAllChanged: (tenantId, keys) => inSlices(keys, (key) => announceChanged(tenantId, key)),
    announceKeys: () => hints.publish('revoked', 'keys'),
    announceAddresses(tenantId) {
      effects.addresses(tenantId);
      hints.publish('revoked', `addresses ${tenantId}`);
    },
    subscribe: (listener) => effects.subscribe(listener),
    poll,
    close() {
      timer.stop();
      clearInterval(sweeping);
      stopHearing();
    },
  };
}

/** Does a little at a time: each piece of news makes every socket that it is about ask the database. */
async function inSlices<Item>(items: readonly Item[], work: (item: Item) => void): Promise<void> {
  for (const [i, item] of items.entries()) {
    if (i > 0 && i % SLICE === 0) await new Promise((resolve) => setImmediate(resolve));
    work(item);
  }
}

/** What each piece of news does on this node. */
function createEffects(deps: RevocationDeps) {
  const { states, clock } = deps;
  const denied = new Map<string, number>();
  const sockets = createSocketRegistry((sessionId) => denied.has(sessionId));
  const listeners = new Set<(tenantId: number) => void>();
  const delays = measureDelays(deps);
  return {
    sockets,
    isRevoked: (sessionId: string): boolean => denied.has(sessionId),
    revoked(tenantId: number, sessionId: string, heard: Heard): void {
      denied.set(sessionId, clock() + (deps.tokenLife + 60) * 1_000);
      states.forgetSession(tenantId, sessionId);
      if (sockets.closeSession(sessionId) > 0) delays.closed({ tenantId, sessionId, heard });
      for (const listener of listeners) listener(tenantId);
    },
    changed(tenantId: number, key: string): void {
      states.forgetPrincipal(tenantId, key);
      deps.apiKeys.forget(tenantId, key);
      sockets.principalChanged(tenantId, key);
    },
    addresses(tenantId: number): void {
      deps.addressRules.forget(tenantId);
      sockets.tenantChanged(tenantId);
    },
    subscribe(listener: (tenantId: number) => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    sweep(): void {
      for (const [sessionId, until] of denied) if (until <= clock()) denied.delete(sessionId);
    },
  };
}

interface NewsItem {
  kind: 'session' | 'user' | 'device' | 'client' | 'api_key' | 'addresses';
  tenant_id: number;
  id: string;
  at: Date;
}

const NEWS = `
  SELECT 'session' AS kind, tenant_id, id, revoked_at AS at FROM sessions WHERE revoked_at > $1
  UNION ALL SELECT 'user', tenant_id, id, changed_at FROM users WHERE changed_at > $1
  UNION ALL SELECT 'client', tenant_id, id, changed_at FROM oauth_clients WHERE changed_at > $1
  UNION ALL SELECT 'device', tenant_id, id, changed_at FROM devices WHERE changed_at > $1
  UNION ALL SELECT 'api_key', tenant_id, id, changed_at FROM api_keys WHERE changed_at > $1
  UNION ALL SELECT 'addresses', id, NULL, ip_rules_changed_at FROM tenants WHERE ip_rules_changed_at > $1`;

/** Reads what changed since the last look, each thing once, by the database's clock. */
function createNews(sql: Sql): { read(): Promise<NewsItem[]> } {
  let since: Date | undefined;
  let told = new Set<string>();
  const name = (item: NewsItem): string => `${item.kind}:${item.tenant_id}:${item.id}:${item.at.getTime()}`;
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
