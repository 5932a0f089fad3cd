import { setTimeout as sleep } from 'node:timers/promises';

/** What chaos does, each by itself; `name` is what the report counts. */
export interface Mishap {
  name: string;
  /** Resolves with whether there was anything that it could happen to. */
  run: () => Promise<boolean>;
}

export interface Chaos {
  /** How often each happened. */
  readonly counts: Record<string, number>;
  /** Resolves when each kind has happened. Rejects when one failed. */
  everyKind: Promise<void>;
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
  let resolve: (() => void) | undefined;
  const happened = new Promise<void>((done) => (resolve = done));
  const run = async (): Promise<void> => {
    let round: Mishap[] = [];
    for (;;) {
      await sleep(300 + random() * 1_500, undefined, { signal: stopped.signal }).catch(() => undefined);
      if (stopped.signal.aborted) return;
      if (round.length === 0) round = [...mishaps];
      const [mishap] = round.splice(Math.floor(random() * round.length), 1);
      if (!mishap) return;
      if (!(await mishap.run())) {
        // not now: later in this round
        round.push(mishap);
        continue;
      }
      onMishap(mishap.name);
      counts[mishap.name] = (counts[mishap.name] ?? 0) + 1;
      if (mishaps.every(({ name }) => (counts[name] ?? 0) > 0)) resolve?.();
    }
  };
  const running = run();
  const everyKind = Promise.race([happened, running.then(() => happened)]);
  everyKind.catch(() => undefined);
  return {
    counts,
    everyKind,
    async stop() {
      stopped.abort();
      await running;
    },
  };
}
