import { randomUUID } from 'node:crypto';
import type { Presence } from '../../protocol/chat.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import type { Sql } from '../db.ts';
import type { Hints } from '../hints.ts';
import type { Logger } from '../log.ts';
import { createCoalescer } from './coalesce.ts';
import { dropStaleLeases, endLeases, shortenLeases, writeLeases, writeStatus } from './presence-leases.ts';
import type { Lease } from './presence-leases.ts';
import { PresenceView } from './presence-view.ts';

/** An agent's figures, asked again at each renewal of its lease. */
export interface AgentFigures {
  /** Batches waiting in its outbox. */
  queue?: number | undefined;
  /** Versions between the tenant's head and what it has acknowledged. */
  lag?: number | undefined;
  /** Entries of its inbox: what was refused and waits for somebody. */
  inbox?: number | undefined;
}

/** Who is there: people and branch agents, on every node (I6). */
export interface PresenceBoard {
  /** A socket of the principal is open. Call the returned function, once, when it has closed. */
  connected(principal: Principal, figures?: () => AgentFigures): () => void;
  setStatus(
    principal: Principal,
    set: { status: Presence['status']; text?: string | undefined },
  ): Promise<void>;
  /** Those present in the tenant, read now. */
  list(tenantId: number): Promise<Presence[]>;
  /** Hears each change in the tenant from now on. Returns how to stop. */
  watch(tenantId: number, listener: (presence: Presence) => void): () => void;
  close(): Promise<void>;
}

export interface PresenceDeps {
  db: { sql: Sql };
  hints: Hints;
  log: Logger;
  /** For tests; milliseconds. */
  timing?: Partial<PresenceTiming> | undefined;
}

export interface PresenceTiming {
  /** A lease is renewed this often, and lives `ttlMs` without. */
  renewMs: number;
  ttlMs: number;
  /** The leases of watched tenants are read this often, whatever the hints say. */
  pollMs: number;
  /** A principal without a socket is offline after this time: a reconnect is no flicker. */
  graceMs: number;
  /** Arrivals and departures of this span are written together. */
  gatherMs: number;
}

const TIMING: PresenceTiming = {
  renewMs: 10_000,
  ttlMs: 30_000,
  pollMs: 5_000,
  graceMs: 2_000,
  gatherMs: 20,
};

/** One principal with sockets on this node, or gone from it so recently that it may come back. */
interface Local {
  principal: Principal;
  sockets: Set<() => AgentFigures>;
  /** Of its last socket, once that has closed. */
  last: AgentFigures;
  leaving: NodeJS.Timeout | undefined;
  /** What was last written, to tell a change from a renewal. */
  written: string;
}

/** Starts keeping this node's leases and the watched tenants' view. */
export function startPresence(deps: PresenceDeps): PresenceBoard {
  return new LeasedPresence(deps);
}

class LeasedPresence implements PresenceBoard {
  readonly #deps: PresenceDeps;
  readonly #timing: PresenceTiming;
  readonly #nodeId = randomUUID();
  readonly #locals = new Map<string, Local>();
  readonly #dirty = new Set<string>();
  readonly #view: PresenceView;
  readonly #flush = createCoalescer<'all'>(() => this.#writeDirty());
  readonly #stopHints: () => void;
  readonly #timers: NodeJS.Timeout[];
  #gathering: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(deps: PresenceDeps) {
    this.#deps = deps;
    this.#timing = { ...TIMING, ...deps.timing };
    this.#view = new PresenceView(deps, (tenantId, principal) =>
      this.#locals.has(localKey(tenantId, principal)),
    );
    this.#stopHints = deps.hints.subscribe('presence', (body) => this.#view.wake(Number(body)));
    this.#timers = [
      setInterval(() => this.#renew(), this.#timing.renewMs),
      setInterval(() => this.#view.wakeAll(), this.#timing.pollMs),
    ];
  }

  connected(principal: Principal, figures: () => AgentFigures = () => ({})): () => void {
    const key = localKey(principal.tenantId, principalKey(principal));
    const local = this.#locals.get(key) ?? createLocal(principal);
    clearTimeout(local.leaving);
    local.leaving = undefined;
    local.principal = principal;
    // each socket has its own entry, also where two share one function
    const socket = (): AgentFigures => figures();
    local.sockets.add(socket);
    this.#locals.set(key, local);
    this.#touch(key);
    return () => this.#disconnected(key, local, socket);
  }

  async setStatus(
    principal: Principal,
    set: { status: Presence['status']; text?: string | undefined },
  ): Promise<void> {
    const { tenantId } = principal;
    await this.#flush('all');
    await writeStatus(this.#deps.db.sql, { tenantId, principal: principalKey(principal) }, set);
    this.#deps.hints.publish('presence', String(tenantId));
    await this.#view.refresh(tenantId);
  }

  async list(tenantId: number): Promise<Presence[]> {
    await this.#flush('all');
    return await this.#view.read(tenantId);
  }

  watch(tenantId: number, listener: (presence: Presence) => void): () => void {
    return this.#view.watch(tenantId, listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopHints();
    this.#timers.forEach((timer) => clearInterval(timer));
    clearTimeout(this.#gathering);
    for (const { leaving } of this.#locals.values()) clearTimeout(leaving);
    await this.#view.close();
    await shortenLeases(this.#deps.db.sql, this.#nodeId, this.#timing.graceMs).catch(() => undefined);
  }

  #disconnected(key: string, local: Local, socket: () => AgentFigures): void {
    local.sockets.delete(socket);
    if (this.#closed) return;
    if (local.sockets.size > 0) {
      // its figures no longer count
      this.#touch(key);
      return;
    }
    local.last = socket();
    clearTimeout(local.leaving);
    local.leaving = setTimeout(() => {
      local.leaving = undefined;
      this.#touch(key);
    }, this.#timing.graceMs);
  }

  #touch(key: string): void {
    this.#dirty.add(key);
    if (this.#closed) return;
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      this.#flush('all').catch((error: unknown) => this.#onFailure(error));
    }, this.#timing.gatherMs);
  }

  #renew(): void {
    for (const key of this.#locals.keys()) this.#dirty.add(key);
    this.#flush('all').catch((error: unknown) => this.#onFailure(error));
    dropStaleLeases(this.#deps.db.sql).catch((error: unknown) => this.#onFailure(error));
  }

  /** What could not be written stays dirty: the next renewal tries again. */
  #onFailure(error: unknown): void {
    if (!this.#closed) this.#deps.log.warn({ err: error }, 'presence could not be written, trying again');
  }

  async #writeDirty(): Promise<void> {
    const keys = [...this.#dirty];
    this.#dirty.clear();
    const there: [Local, Lease][] = [];
    const gone: [string, Lease][] = [];
    for (const key of keys) {
      const local = this.#locals.get(key);
      if (!local) continue;
      const lease = toLease(local);
      if (local.sockets.size > 0 || local.leaving) there.push([local, lease]);
      else gone.push([key, lease]);
    }
    try {
      const { sql } = this.#deps.db;
      const leases = there.map(([, lease]) => lease);
      await writeLeases(sql, this.#nodeId, leases, this.#timing.ttlMs);
      for (const [key] of gone) if (this.#isGone(key)) this.#locals.delete(key);
      const ended = gone.filter(([key]) => !this.#locals.has(key)).map(([, lease]) => lease);
      await endLeases(sql, this.#nodeId, ended);
    } catch (error) {
      keys.forEach((key) => this.#dirty.add(key));
      throw error;
    }
    this.#announce(there, gone);
  }

  #isGone(key: string): boolean {
    const local = this.#locals.get(key);
    return local?.sockets.size === 0 && !local.leaving;
  }

  #announce(there: readonly [Local, Lease][], gone: readonly [string, Lease][]): void {
    const changed = there.filter(([local, lease]) => local.written !== JSON.stringify(lease));
    for (const [local, lease] of changed) local.written = JSON.stringify(lease);
    const tenants = new Set([...changed, ...gone].map(([, lease]) => lease.tenantId));
    for (const tenantId of tenants) {
      this.#deps.hints.publish('presence', String(tenantId));
      this.#view.wake(tenantId);
    }
  }
}

function localKey(tenantId: number, principal: string): string {
  return `${tenantId}/${principal}`;
}

function createLocal(principal: Principal): Local {
  return { principal, sockets: new Set(), last: {}, leaving: undefined, written: '' };
}

function toLease({ principal, sockets, last }: Local): Lease {
  const figures = sockets.size > 0 ? [...sockets].map((socket) => socket()) : [last];
  return {
    tenantId: principal.tenantId,
    principal: principalKey(principal),
    kind: principal.kind,
    name: principal.name,
    queue: maxOf(figures.map((figure) => figure.queue)),
    lag: maxOf(figures.map((figure) => figure.lag)),
    inbox: maxOf(figures.map((figure) => figure.inbox)),
  };
}

function maxOf(numbers: (number | undefined)[]): number | null {
  const known = numbers.filter((number) => number !== undefined);
  return known.length === 0 ? null : Math.max(...known);
}
