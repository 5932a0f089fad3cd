import {
  createContext,
  use,
  useCallback,
  useEffect,
  useEffectEvent,
  useMemo,
  useState,
  type ReactNode,
} from 'react';
import type { Session, SessionUser } from '../../../sdk/index.ts';
import { explain } from '../format.ts';
import { mayHaveSession, noteSession, onHint } from '../model/session-hint.ts';

export type Phase =
  | { name: 'restoring' }
  | { name: 'unreachable'; retryAt: number; message: string }
  /** `notice`: why one has to log in (again). */
  | { name: 'guest'; notice?: string }
  | { name: 'user'; user: SessionUser }
  /** Logging out: the connections are closed before the session is, or they would ask for a new token. */
  | { name: 'leaving'; elsewhere?: boolean };

interface SessionContext {
  session: Session;
  phase: Phase;
  /** Restores at once instead of waiting. */
  retry: () => void;
  logout: () => void;
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

  useEffect(() => restore(session, attempt, setPhase, setAttempt), [session, attempt]);
  useEffect(
    () =>
      session.onChange((user) => {
        noteSession(user !== undefined);
        if (user) setPhase({ name: 'user', user });
        // The first restore of a visitor without a session says so by its own answer.
        else setPhase((old) => (old.name === 'user' ? { name: 'guest', notice: noticeOf() } : old));
      }),
    [session],
  );

  useEffect(() => {
    if (phase.name !== 'leaving') return;
    const left = (): void => setPhase({ name: 'guest', notice: LOGGED_OUT });
    // First, so that the other tabs close their connections before the session ends.
    noteSession(false);
    // Whatever the gateway says, this browser is done with the session.
    (phase.elsewhere === true ? session.forget() : session.logout()).then(left, left);
  }, [session, phase]);
  // Tabs log in and out together: they share the cookie.
  const follow = useEffectEvent((isThere: boolean) => {
    if (!isThere && phase.name === 'user') setPhase({ name: 'leaving', elsewhere: true });
    if (isThere && phase.name === 'guest') setAttempt((count) => count + 1);
  });
  useEffect(() => onHint(follow), []);

  const logout = useCallback(() => setPhase({ name: 'leaving' }), []);
  const end = useCallback((code: string) => {
    setPhase((old) => (old.name === 'leaving' ? old : { name: 'guest', notice: noticeOf(code) }));
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
  if (!mayHaveSession()) {
    setPhase({ name: 'guest' });
    return () => undefined;
  }
  session
    .restore()
    .then((user) => {
      if (cancelled) return;
      if (!user) noteSession(false);
      setPhase(user ? { name: 'user', user } : { name: 'guest' });
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

const LOGGED_OUT = 'You are logged out.';

function noticeOf(code?: string): string {
  if (code === 'token_expired') return 'Your session has expired. Log in to go on.';
  return 'Your session has ended: it expired, or you or an administrator ended it. Log in to go on. What was received is still here.';
}
