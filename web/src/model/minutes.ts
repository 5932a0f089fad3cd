const MINUTES = 60;
const MINUTE_MS = 60_000;

export interface PaceSeries {
  /** Unix seconds, one a minute, oldest first; the last one is the minute that is running. */
  times: number[];
  counts: number[];
  /** How many of them stand at the invoice's own time. */
  dated: number;
  /** Epoch ms from which on every invoice was heard of as it came; undefined: not connected yet. */
  since: number | undefined;
  /** `since` lies before the first minute shown. */
  whole: boolean;
}

/**
 * Invoices per minute, for the last hour. One heard of as it came counts when the gateway took it; a snapshot does not tell
 * that, so whatever was there before counts by the time on the invoice, where it bears one.
 */
export interface MinuteCounts {
  /** Listening begins (again): what is up to `version` came before. */
  begin: (at: number, version: number) => void;
  begun: () => boolean;
  /** A change told at `at` that the gateway took an invoice. */
  heard: (version: number, at: number) => void;
  /** An invoice met for the first time, with its own time; null: it has none that is sure. */
  known: (version: number, dated: number | null) => void;
  /** The records were forgotten, to be met anew. */
  forget: () => void;
  series: () => PaceSeries;
  /** A compact form that survives a reload. */
  save: () => string;
}

interface Listening {
  since: number;
  /** Changes above it were heard of, all others were not. */
  above: number;
}

export interface MinuteCountsOptions {
  /** By the last visit; null: nothing. */
  saved: string | null;
  /** The gateway's time: what it took is dated by it. */
  now: () => number;
}

export function createMinuteCounts({ saved, now }: MinuteCountsOptions): MinuteCounts {
  const kept = parseSaved(saved);
  let listening = kept?.listening;
  const taken = createTally(now, kept?.counts);
  const dated = createTally(now);

  return {
    begin(since, above) {
      listening = { since, above };
      taken.clear();
    },
    begun: () => listening !== undefined,
    heard(version, at) {
      if (version > (listening?.above ?? Infinity)) taken.add(at);
    },
    known(version, at) {
      if (at !== null && version <= (listening?.above ?? Infinity)) dated.add(at);
    },
    forget: dated.clear,
    series() {
      const last = toMinute(now());
      const minutes = Array.from({ length: MINUTES }, (_, index) => last - MINUTES + 1 + index);
      const byDate = minutes.map(dated.at);
      return {
        times: minutes.map((minute) => minute * 60),
        counts: minutes.map((minute, index) => taken.at(minute) + (byDate[index] ?? 0)),
        dated: byDate.reduce((sum, count) => sum + count, 0),
        since: listening?.since,
        whole: listening !== undefined && listening.since <= (minutes[0] ?? 0) * MINUTE_MS,
      };
    },
    save: () => JSON.stringify({ ...listening, counts: taken.entries() }),
  };
}

const DATED = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})$/;

/** Epoch ms of an invoice's own date; null unless it names its time zone: a guess would put it into another hour. */
export function parseDated(date: string): number | null {
  const at = DATED.test(date) ? Date.parse(date.replace(' ', 'T')) : NaN;
  return Number.isNaN(at) ? null : at;
}

type Entry = [minute: number, count: number];

function createTally(now: () => number, saved: readonly Entry[] = []) {
  const counts = new Map<number, number>(saved);

  /** Minutes that have passed are dropped when a new one begins, so that the map stays small. */
  function prune(current: number): void {
    for (const minute of counts.keys()) if (minute <= current - MINUTES) counts.delete(minute);
  }

  return {
    add(at: number) {
      const [minute, current] = [toMinute(at), toMinute(now())];
      if (minute <= current - MINUTES) return;
      if (!counts.has(minute)) prune(current);
      counts.set(minute, (counts.get(minute) ?? 0) + 1);
    },
    at: (minute: number): number => counts.get(minute) ?? 0,
    clear: () => counts.clear(),
    entries: () => [...counts],
  };
}

const toMinute = (at: number): number => Math.floor(at / MINUTE_MS);

function parseSaved(saved: string | null): { listening: Listening; counts: Entry[] } | undefined {
  try {
    const parsed: unknown = JSON.parse(saved ?? 'null');
    if (typeof parsed !== 'object' || parsed === null) return undefined;
    const { since, above, counts } = parsed as Record<string, unknown>;
    if (!isCount(since) || !isCount(above) || !Array.isArray(counts)) return undefined;
    return { listening: { since, above }, counts: counts.filter(isEntry) };
  } catch {
    return undefined;
  }
}

const isCount = (value: unknown): value is number => typeof value === 'number' && value >= 0;

function isEntry(entry: unknown): entry is Entry {
  return Array.isArray(entry) && entry.length === 2 && entry.every(isCount);
}
