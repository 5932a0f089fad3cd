/** The gateway's time, by a browser whose own clock may be wrong: what others did is dated by the gateway. */
export interface ServerClock {
  now: () => number;
  /** The gateway has just said that it is `serverTime` (ISO 8601). */
  hear: (serverTime: string) => void;
  /** Milliseconds by which the browser is behind. */
  offset: () => number;
}

export function createServerClock(browser: () => number, known = 0): ServerClock {
  let offset = known;
  return {
    now: () => browser() + offset,
    hear(serverTime) {
      const at = Date.parse(serverTime);
      if (!Number.isNaN(at)) offset = at - browser();
    },
    offset: () => offset,
  };
}
