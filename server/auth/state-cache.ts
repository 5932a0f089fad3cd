import { createPrincipalIndex } from './principal-index.ts';

/**
 * What the database says of things that belong to principals (sessions, keys), remembered for some seconds. What is forgotten while it
 * is being read is read once more, for that may be from before the change.
 */
export interface StateCache<State> {
  /** What is known without a look into the database. */
  peek: (tenantId: number, name: string) => State | undefined;
  /** At most the cache's time old, and never older than the last word to forget it; undefined when there is no such thing. */
  load: (tenantId: number, name: string) => Promise<State | undefined>;
  forget: (tenantId: number, name: string) => void;
  /** `key` as `principalKey` makes it. */
  forgetPrincipal: (tenantId: number, key: string) => void;
}

export interface StateCacheOptions<State> {
  find: (tenantId: number, name: string) => Promise<State | undefined>;
  /** `principalKey` of whom it belongs to. */
  principalOf: (state: State) => string;
  ttlMs: number;
  max: number;
  clock: () => number;
}

interface Entry<State> {
  tenantId: number;
  /** Tenant and name. */
  id: string;
  loading: Promise<State | undefined>;
  settled: State | undefined;
  until: number;
  forgotten: boolean;
}

export function createStateCache<State>(options: StateCacheOptions<State>): StateCache<State> {
  const { find, principalOf, ttlMs, clock } = options;
  const entries = createEntries(options);
  const changes = createChanges();
  const current = (tenantId: number, name: string): Entry<State> | undefined => {
    const entry = entries.get(idOf(tenantId, name));
    return entry !== undefined && entry.until > clock() ? entry : undefined;
  };
  const store = (tenantId: number, name: string): Entry<State> => {
    const reading = changes.begin();
    const loading = find(tenantId, name);
    const entry: Entry<State> = {
      ...{ tenantId, id: idOf(tenantId, name), loading },
      ...{ settled: undefined, until: clock() + ttlMs, forgotten: false },
    };
    entries.add(entry);
    loading.then(
      (state) => {
        if (reading.end(state && idOf(tenantId, principalOf(state)))) entries.forget(entry);
        else entries.settle(entry, state);
      },
      () => {
        reading.end(undefined);
        entries.drop(entry);
      },
    );
    return entry;
  };
  return {
    peek: (tenantId, name) => current(tenantId, name)?.settled,
    load: async (tenantId, name) => {
      for (;;) {
        const entry = current(tenantId, name) ?? store(tenantId, name);
        const state = await entry.loading;
        if (!entry.forgotten) return state;
      }
    },
    forget: (tenantId, name) => {
      const entry = entries.get(idOf(tenantId, name));
      if (entry !== undefined) entries.forget(entry);
    },
    forgetPrincipal: (tenantId, key) => {
      entries.ofPrincipal(tenantId, key).forEach(entries.forget);
      changes.note(idOf(tenantId, key));
    },
  };
}

interface Entries<State> {
  get: (id: string) => Entry<State> | undefined;
  add: (entry: Entry<State>) => void;
  /** It has been read. What does not exist takes no room. */
  settle: (entry: Entry<State>, state: State | undefined) => void;
  drop: (entry: Entry<State>) => void;
  /** Whoever waits for it reads it anew. */
  forget: (entry: Entry<State>) => void;
  ofPrincipal: (tenantId: number, key: string) => Entry<State>[];
}

function createEntries<State>(
  options: Pick<StateCacheOptions<State>, 'principalOf' | 'max'>,
): Entries<State> {
  const { principalOf, max } = options;
  const entries = new Map<string, Entry<State>>();
  const settled = createPrincipalIndex<Entry<State>>();
  const drop = (entry: Entry<State>): void => {
    if (entries.get(entry.id) === entry) entries.delete(entry.id);
    if (entry.settled !== undefined) settled.remove(entry.tenantId, principalOf(entry.settled), entry);
  };
  return {
    get: (id) => entries.get(id),
    add: (entry) => {
      const oldest = entries.size < max ? undefined : entries.values().next().value;
      const inTheWay = entries.get(entry.id) ?? oldest;
      if (inTheWay !== undefined) drop(inTheWay);
      entries.set(entry.id, entry);
    },
    settle: (entry, state) => {
      if (entries.get(entry.id) !== entry) return;
      if (state === undefined) {
        drop(entry);
        return;
      }
      entry.settled = state;
      settled.add(entry.tenantId, principalOf(state), entry);
    },
    drop,
    forget: (entry) => {
      entry.forgotten = true;
      drop(entry);
    },
    ofPrincipal: (tenantId, key) => settled.of(tenantId, key),
  };
}

/** Which principals changed while something was being read: whose it is shows only when it has been read. */
interface Changes {
  /** Something is being read from now on; `end` says whether its principal has changed since. */
  begin(): { end(principal: string | undefined): boolean };
  note(principal: string): void;
}

function createChanges(): Changes {
  // by the number of the change, the oldest first
  const changed = new Map<string, number>();
  const readings = new Set<{ since: number }>();
  let latest = 0;
  const letGo = (): void => {
    const oldest = readings.values().next().value?.since ?? latest;
    for (const [principal, at] of changed) {
      if (at > oldest) return;
      changed.delete(principal);
    }
  };
  return {
    begin() {
      const reading = { since: latest };
      readings.add(reading);
      return {
        end(principal) {
          const isOld = principal !== undefined && (changed.get(principal) ?? 0) > reading.since;
          readings.delete(reading);
          letGo();
          return isOld;
        },
      };
    },
    note(principal) {
      latest += 1;
      if (readings.size === 0) return;
      changed.delete(principal);
      changed.set(principal, latest);
    },
  };
}

function idOf(tenantId: number, name: string): string {
  return `${tenantId} ${name}`;
}
