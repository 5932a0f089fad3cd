const MINUTES = 60;
const MINUTE_MS = 60_000;

/** Invoices per minute by the time the gateway took them, for the last hour. */
export interface MinuteCounts {
  add: (at: number) => void;
  /** One point a minute, oldest first; the last one is the minute that is running. */
  series: (now: number) => { times: number[]; counts: number[] };
  /** A compact form that survives a reload. */
  save: () => string;
}

export function createMinuteCounts(saved: string | null, now: number): MinuteCounts {
  const counts = parseSaved(saved);

  function prune(minute: number): void {
    for (const known of counts.keys()) if (known <= minute - MINUTES) counts.delete(known);
  }

  prune(toMinute(now));
  return {
    add(at) {
      const minute = toMinute(at);
      if (!counts.has(minute)) prune(minute);
      counts.set(minute, (counts.get(minute) ?? 0) + 1);
    },
    series(at) {
      const last = toMinute(at);
      const minutes = Array.from({ length: MINUTES }, (_, index) => last - MINUTES + 1 + index);
      return {
        times: minutes.map((minute) => minute * 60),
        counts: minutes.map((minute) => counts.get(minute) ?? 0),
      };
    },
    save: () => JSON.stringify([...counts]),
  };
}

const toMinute = (at: number): number => Math.floor(at / MINUTE_MS);

function parseSaved(saved: string | null): Map<number, number> {
  try {
    const entries: unknown = JSON.parse(saved ?? '[]');
    if (!Array.isArray(entries)) return new Map();
    return new Map(entries.filter(isEntry));
  } catch {
    return new Map();
  }
}

function isEntry(entry: unknown): entry is [number, number] {
  return (
    Array.isArray(entry) && entry.length === 2 && entry.every((part) => typeof part === 'number' && part >= 0)
  );
}
