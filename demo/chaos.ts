import { setTimeout as sleep } from 'node:timers/promises';

/** What chaos does, each by itself; `name` is what the report counts. */
export interface Mishap {
  name: string;
  run: () => Promise<void>;
}

export interface Chaos {
  /** How often each happened. */
  readonly counts: Record<string, number>;
  /** Ends it, and waits for the mishap under way to be over. */
  stop(): Promise<void>;
}

/** Lets mishaps happen at seeded random moments, each kind in turn before any comes again. */
export function startChaos(
  mishaps: readonly Mishap[],
  random: () => number,
  onMishap: (name: string) => void,
): Chaos {
  const counts: Record<string, number> = Object.fromEntries(mishaps.map(({ name }) => [name, 0]));
  const stopped = new AbortController();
  const run = async (): Promise<void> => {
    let round: Mishap[] = [];
    for (;;) {
      await sleep(300 + random() * 1_500, undefined, { signal: stopped.signal }).catch(() => undefined);
      if (stopped.signal.aborted) return;
      if (round.length === 0) round = [...mishaps];
      const [mishap] = round.splice(Math.floor(random() * round.length), 1);
      if (!mishap) return;
      onMishap(mishap.name);
      await mishap.run();
      counts[mishap.name] = (counts[mishap.name] ?? 0) + 1;
    }
  };
  const running = run();
  return {
    counts,
    async stop() {
      stopped.abort();
      await running;
    },
  };
}
