import type { Presence } from '../../protocol/chat.ts';
import type { Sql } from '../db.ts';
import type { Logger } from '../log.ts';
import { createCoalescer } from './coalesce.ts';
import { readPresence } from './presence-leases.ts';
import type { Seen } from './presence-leases.ts';

type Listener = (presence: Presence) => void;

interface Watched {
  listeners: Set<Listener>;
  /** As last told to the listeners; undefined before the first reading. */
  shown: Map<string, Presence> | undefined;
}

/** Reads after a hint wait this long, so that a crowd of changes is one reading. */
const WAKE_MS = 50;

/** What the watched tenants' people are told: the difference between two readings of the leases. */
export class PresenceView {
  readonly #sql: Sql;
  readonly #log: Logger;
  readonly #isHere: (tenantId: number, principal: string) => boolean;
  readonly #watched = new Map<number, Watched>();
  readonly #waking = new Map<number, NodeJS.Timeout>();
  readonly #reading = new Set<Promise<void>>();

  /** Reads the tenant's leases and tells the differences. */
  readonly refresh = createCoalescer<number>((tenantId) => this.#read(tenantId));

  /** `isHere` says whether a principal has a socket on this very node, whatever became of its lease. */
  constructor(
    deps: { db: { sql: Sql }; log: Logger },
    isHere: (tenantId: number, principal: string) => boolean,
  ) {
    this.#sql = deps.db.sql;
    this.#log = deps.log;
    this.#isHere = isHere;
  }

  async read(tenantId: number): Promise<Presence[]> {
    await this.refresh(tenantId);
    const shown = this.#watched.get(tenantId)?.shown;
    return [...(shown ?? listOf(await readPresence(this.#sql, tenantId))).values()];
  }

  watch(tenantId: number, listener: Listener): () => void {
    const watched = this.#watched.get(tenantId) ?? { listeners: new Set(), shown: undefined };
    this.#watched.set(tenantId, watched);
    watched.listeners.add(listener);
    return () => {
      watched.listeners.delete(listener);
      if (watched.listeners.size === 0) this.#watched.delete(tenantId);
    };
  }

  /** The tenant may have changed: read soon. */
  wake(tenantId: number): void {
    if (!this.#watched.has(tenantId) || this.#waking.has(tenantId)) return;
    const timer = setTimeout(() => {
      this.#waking.delete(tenantId);
      const reading = this.refresh(tenantId)
        .catch((error: unknown) => this.#log.warn({ err: error, tenantId }, 'reading presence failed'))
        .finally(() => this.#reading.delete(reading));
      this.#reading.add(reading);
    }, WAKE_MS);
    this.#waking.set(tenantId, timer);
  }

  wakeAll(): void {
    for (const tenantId of this.#watched.keys()) this.wake(tenantId);
  }

  async close(): Promise<void> {
    this.#watched.clear();
    for (const timer of this.#waking.values()) clearTimeout(timer);
    await Promise.all(this.#reading);
  }

  async #read(tenantId: number): Promise<void> {
    if (!this.#watched.has(tenantId)) return;
    const { present, absent } = await readPresence(this.#sql, tenantId);
    const watched = this.#watched.get(tenantId);
    if (!watched) return;
    for (const [principal, before] of watched.shown ?? []) {
      // a database that was away let the lease run out: whoever is connected here is not offline
      if (!present.has(principal) && this.#isHere(tenantId, principal)) present.set(principal, before);
    }
    const now = listOf({ present, absent });
    const changes = watched.shown ? differences(watched.shown, now) : [];
    watched.shown = now;
    for (const change of changes) watched.listeners.forEach((listener) => listener(change));
  }
}

/** Whoever is present, and the agents that are not. */
function listOf({ present, absent }: Seen): Map<string, Presence> {
  return new Map([...absent, ...present]);
}

function differences(before: ReadonlyMap<string, Presence>, now: ReadonlyMap<string, Presence>): Presence[] {
  const changed = [...now.values()].filter(
    (one) => JSON.stringify(one) !== JSON.stringify(before.get(one.principal)),
  );
  const gone = [...before.values()]
    .filter((one) => !now.has(one.principal))
    .map(({ principal, kind, name }): Presence => {
      return { principal, kind, name, status: 'offline', since: new Date().toISOString() };
    });
  return [...changed, ...gone];
}
