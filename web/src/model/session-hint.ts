/**
 * Whether this browser may have a session. The cookie itself no script can see, and asking the gateway without one would
 * be refused at each first visit. Says neither who nor which: losing it costs a login, faking it one refused request.
 */

const KEY = 'sluice.session';

export function mayHaveSession(): boolean {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    // A browser that keeps nothing cannot tell: the gateway can.
    return true;
  }
}

export function noteSession(isThere: boolean): void {
  try {
    if (isThere) localStorage.setItem(KEY, 'yes');
    else localStorage.removeItem(KEY);
  } catch {
    // Then mayHaveSession says so.
  }
}

/** Tells when another tab of this browser logged in or out. */
export function onHint(listener: (isThere: boolean) => void): () => void {
  const hear = ({ key, newValue }: StorageEvent): void => {
    // No key: everything was removed.
    if (key === KEY || key === null) listener(newValue !== null);
  };
  addEventListener('storage', hear);
  return () => removeEventListener('storage', hear);
}
