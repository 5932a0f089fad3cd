/**
 * Logging out is the gateway's to do: it ends the session, and its answer takes away the cookie, which no script can. Where it
 * could not be told, that is noted until it has been, so that no visit takes the session up again and each one tries to end it.
 */
export interface Farewell {
  /** The gateway has still to be told. */
  isOwed: () => boolean;
  /** Notes that the session is to be ended, before anything else happens. */
  owe: () => void;
  /** Tells the gateway what it has to be told, if anything. Throws when it could not be told. */
  settle: () => Promise<void>;
  /** Told when it begins or ends to be owed, here or in another tab. */
  onChange: (listener: () => void) => () => void;
}

const KEY = 'sluice.farewell';

/** `end` asks the gateway to end the session of this browser's cookie. */
export function createFarewell(end: () => Promise<void>): Farewell {
  const listeners = new Set<() => void>();
  let pending: Promise<void> | undefined;
  /** For browsers that keep nothing. */
  let noted = false;

  function isOwed(): boolean {
    try {
      return localStorage.getItem(KEY) !== null;
    } catch {
      return noted;
    }
  }

  function note(owed: boolean): void {
    noted = owed;
    try {
      if (owed) localStorage.setItem(KEY, 'yes');
      else localStorage.removeItem(KEY);
    } catch {
      // Then this page remembers, for as long as it is open.
    }
    for (const listener of listeners) listener();
  }

  async function tell(): Promise<void> {
    // Another tab may have had the turn before.
    if (!isOwed()) return;
    await end();
    note(false);
  }

  return {
    isOwed,
    owe: () => note(true),
    settle: () =>
      (pending ??= inTurn(tell).finally(() => {
        pending = undefined;
      })),
    onChange(listener) {
      const hear = ({ key }: StorageEvent): void => {
        if (key === KEY || key === null) listener();
      };
      listeners.add(listener);
      addEventListener('storage', hear);
      return () => {
        listeners.delete(listener);
        removeEventListener('storage', hear);
      };
    },
  };
}

/** One tab at a time: the answer to a logout takes the cookie away, and may not come after the next login has set one. */
function inTurn(work: () => Promise<void>): Promise<void> {
  return 'locks' in navigator ? navigator.locks.request(KEY, work) : work();
}
