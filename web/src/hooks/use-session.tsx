import { createContext, use, useCallback, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import type { Session, SessionUser } from '../../../sdk/index.ts';
import { explain } from '../format.ts';

export type Phase =
  | { name: 'restoring' }
  | { name: 'unreachable'; retryAt: number; message: string }
  /** `notice`: why one has to log in (again). */
  | { name: 'guest'; notice?: string }
  | { name: 'user'; user: SessionUser };

interface SessionContext {
  session: Session;
  phase: Phase;
  /** Restores at once instead of waiting. */
  retry: () => void;
  logout: () => Promise<void>;
  /** The gateway ended the session on an open socket. */
  end: (code: string) => void;
  /** Told on the login page. */
  announce: (notice: string) => void;
  /** The sign-up that waits for its code; kept in memory, not in the URL. */
  pending: Pending;
  setPending: (pending: Pending) => void;
}

/** What is known of it; an empty string is not known. */
interface Pending {
  username: string;
  email: string;
}

export const NOTHING_PENDING: Pending = { username: '', email: '' };

const FIRST_RETRY_MS = 2_000;
const LAST_RETRY_MS = 30_000;
const context = createContext<SessionContext | null>(null);

/** Holds who is logged in; on the first load it takes up the session of the browser's cookie. */
export function SessionProvider({ session, children }: { session: Session; children: ReactNode }) {
  const [phase, setPhase] = useState<Phase>({ name: 'restoring' });
  const [pending, setPending] = useState(NOTHING_PENDING);
  const [attempt, setAttempt] = useState(0);
  const leaving = useRef(false);

  useEffect(() => restore(session, attempt, setPhase, setAttempt), [session, attempt]);
  useEffect(
    () =>
      session.onChange((user) => {
        if (user) setPhase({ name: 'user', user });
        // The first restore of a visitor without a session says so by its own answer.
        else setPhase((old) => (old.name === 'user' ? { name: 'guest', ...noticeOf(leaving.current) } : old));
      }),
    [session],
  );

  const logout = useCallback(async () => {
    leaving.current = true;
    // Whatever the gateway says, this browser is done with the session.
    await session.logout().catch(() => undefined);
    setPhase({ name: 'guest', ...noticeOf(true) });
    leaving.current = false;
  }, [session]);
  const end = useCallback((code: string) => {
    if (!leaving.current) setPhase({ name: 'guest', ...noticeOf(false, code) });
  }, []);
  const announce = useCallback((notice: string) => setPhase({ name: 'guest', notice }), []);
  const retry = useCallback(() => setAttempt((count) => count + 1), []);

  const value = useMemo(
    () => ({ session, phase, retry, logout, end, announce, pending, setPending }),
    [session, phase, retry, logout, end, announce, pending],
  );
  return <context.Provider value={value}>{children}</context.Provider>;
}

export function useSession(): SessionContext {
  const value = use(context);
  if (!value) throw new Error('useSession needs a SessionProvider above it');
  return value;
}

function restore(
  session: Session,
  attempt: number,
  setPhase: (phase: Phase) => void,
  setAttempt: (attempt: number) => void,
): () => void {
  let timer: number | undefined;
  let cancelled = false;
  session
    .restore()
    .then((user) => {
      if (!cancelled) setPhase(user ? { name: 'user', user } : { name: 'guest' });
    })
    .catch((error: unknown) => {
      if (cancelled) return;
      const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempt, 10));
      setPhase({ name: 'unreachable', retryAt: Date.now() + wait, message: explain(error) });
      timer = window.setTimeout(() => setAttempt(attempt + 1), wait);
    });
  return () => {
    cancelled = true;
    window.clearTimeout(timer);
  };
}

function noticeOf(left: boolean, code?: string): { notice: string } {
  if (left) return { notice: 'You are logged out.' };
  if (code === 'token_expired') return { notice: 'Your session has expired. Log in to go on.' };
  return {
    notice:
      'Your session has ended: it expired, or you or an administrator ended it. Log in to go on. What was received is still here.',
  };
}
