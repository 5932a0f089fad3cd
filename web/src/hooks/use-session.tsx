import {
  createContext,
  use,
  useCallback,
  useEffect,
  useEffectEvent,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
  type Dispatch,
  type ReactNode,
  type SetStateAction,
} from 'react';
import type { Session, SessionUser } from '../../../sdk/index.ts';
import { explain } from '../format.ts';
import type { Farewell } from '../model/farewell.ts';
import { forgetCopy, forgetWaiting } from '../model/local-copy.ts';
import type { Renewals } from '../model/renewals.ts';
import { mayHaveSession, noteSession, onHint } from '../model/session-hint.ts';

export type Phase =
  | { name: 'restoring' }
  | { name: 'unreachable'; retryAt: number; message: string }
  /** `notice`: why one has to log in (again). `forget`: what this browser kept of the person goes. */
  | { name: 'guest'; notice?: string; forget?: boolean }
  | { name: 'user'; user: SessionUser }
  /** Logging out: the connections are closed before the session is, or they would ask for a new token. */
  | { name: 'leaving'; elsewhere?: boolean };

interface SessionContext {
  session: Session;
  phase: Phase;
  farewell: Farewell;
  /** Logged out here, and the gateway has still to be told. */
  owed: boolean;
  /** Restores at once instead of waiting. */
  retry: () => void;
  logout: () => void;
  /** Reads anew who is logged in: what they are called may have changed. */
  renew: () => Promise<void>;
  /** The gateway ended the session on an open socket. */
  end: (code: string) => void;
  /** Told on the login page. `forget`: what this browser kept of the person goes. */
  announce: (notice: string, options?: { forget?: boolean }) => void;
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
type SetPhase = Dispatch<SetStateAction<Phase>>;
const context = createContext<SessionContext | null>(null);

/** Holds who is logged in; on the first load it takes up the session of the browser's cookie. */
interface SessionProviderProps {
  session: Session;
  farewell: Farewell;
  renewals: Renewals;
  children: ReactNode;
}

export function SessionProvider({ session, farewell, renewals, children }: SessionProviderProps) {
  const [phase, setPhase] = useState<Phase>({ name: 'restoring' });
  const [pending, setPending] = useState(NOTHING_PENDING);
  const [attempt, setAttempt] = useState(0);

  const owed = useFarewell(farewell, setPhase);
  const stopRestoring = useRef<() => void>(() => undefined);

  useEffect(() => {
    // A session that is to be ended is not taken up, though its cookie is still there.
    const isThere = mayHaveSession() && !farewell.isOwed();
    stopRestoring.current = restore({ session, renewals, isThere, attempt, setPhase, setAttempt });
    return () => stopRestoring.current();
  }, [session, farewell, renewals, attempt]);
  useEffect(
    () =>
      session.onChange((user) => {
        noteSession(user !== undefined);
        if (user) setPhase({ name: 'user', user });
        // The first restore of a visitor without a session says so by its own answer.
        else setPhase((old) => (old.name === 'user' ? endedBy(renewals.refusal()) : old));
      }),
    [session, renewals],
  );
  useEffect(() => {
    if (phase.name === 'guest' && phase.forget === true) forgetCopy();
  }, [phase]);

  useEffect(() => {
    if (phase.name !== 'leaving') return;
    stopRestoring.current();
    const left = (): void =>
      setPhase(farewell.isOwed() ? { name: 'guest' } : { name: 'guest', notice: LOGGED_OUT });
    if (phase.elsewhere !== true) farewell.owe();
    // First, so that the other tabs close their connections before the session ends.
    noteSession(false);
    forgetWaiting();
    // Whatever the gateway says, this browser is done with the session; what it could not be told is said later.
    (phase.elsewhere === true ? session.forget() : farewell.settle()).then(left, left);
  }, [session, farewell, phase]);
  // Tabs log in and out together: they share the cookie.
  const follow = useEffectEvent((isThere: boolean) => {
    if (!isThere && phase.name === 'user') setPhase({ name: 'leaving', elsewhere: true });
    if (isThere && phase.name === 'guest') setAttempt((count) => count + 1);
  });
  useEffect(() => onHint(follow), []);

  const logout = useCallback(() => setPhase({ name: 'leaving' }), []);
  const end = useCallback((code: string) => {
    // Whoever left by themselves was told what of it they need to know.
    setPhase((old) => (old.name === 'user' ? endedBy(code) : old));
  }, []);
  const announce = useCallback(
    (notice: string, options = {}) => setPhase({ name: 'guest', notice, ...options }),
    [],
  );
  const renew = useCallback(async () => {
    const user = await session.me();
    setPhase((old) => (old.name === 'user' ? { name: 'user', user } : old));
  }, [session]);
  const retry = useCallback(() => setAttempt((count) => count + 1), []);

  const value = useMemo(
    () => ({ session, phase, farewell, owed, retry, logout, renew, end, announce, pending, setPending }),
    [session, phase, farewell, owed, retry, logout, renew, end, announce, pending],
  );
  return <context.Provider value={value}>{children}</context.Provider>;
}

export function useSession(): SessionContext {
  const value = use(context);
  if (!value) throw new Error('useSession needs a SessionProvider above it');
  return value;
}

/** Tells the gateway what it has still to be told, again and again until it has heard. */
function useFarewell(farewell: Farewell, setPhase: SetPhase): boolean {
  const owed = useSyncExternalStore(farewell.onChange, farewell.isOwed);
  useEffect(() => (owed ? keepTelling(farewell) : undefined), [farewell, owed]);
  useEffect(
    () =>
      farewell.onChange(() => {
        if (farewell.isOwed()) return;
        setPhase((old) => (old.name === 'guest' ? { name: 'guest', notice: LOGGED_OUT } : old));
      }),
    [farewell, setPhase],
  );
  return owed;
}

function keepTelling(farewell: Farewell): () => void {
  let timer: number | undefined;
  let attempt = 0;
  let stopped = false;
  const tell = (): void => {
    window.clearTimeout(timer);
    farewell.settle().catch(() => {
      if (!stopped) timer = window.setTimeout(tell, waitBefore(attempt++));
    });
  };
  tell();
  addEventListener('online', tell);
  return () => {
    stopped = true;
    window.clearTimeout(timer);
    removeEventListener('online', tell);
  };
}

const waitBefore = (attempt: number): number =>
  Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempt, 10));

interface Restoring {
  session: Session;
  renewals: Renewals;
  isThere: boolean;
  attempt: number;
  setPhase: SetPhase;
  setAttempt: (attempt: number) => void;
}

function restore({ session, renewals, isThere, attempt, setPhase, setAttempt }: Restoring): () => void {
  let timer: number | undefined;
  let cancelled = false;
  if (!isThere) {
    setPhase({ name: 'guest' });
    return () => undefined;
  }
  session
    .restore()
    .then((user) => {
      if (cancelled) return;
      if (!user) noteSession(false);
      setPhase(user ? { name: 'user', user } : foundEnded(renewals.refusal()));
    })
    .catch((error: unknown) => {
      if (cancelled) return;
      const wait = waitBefore(attempt);
      setPhase({ name: 'unreachable', retryAt: Date.now() + wait, message: explain(error) });
      timer = window.setTimeout(() => setAttempt(attempt + 1), wait);
    });
  return () => {
    cancelled = true;
    window.clearTimeout(timer);
  };
}

const LOGGED_OUT = 'You are logged out.';

function endedBy(code: string | undefined): Phase {
  if (code === 'revoked') return { name: 'guest', notice: REVOKED, forget: true };
  if (code === 'token_expired') return { name: 'guest', notice: EXPIRED };
  return { name: 'guest', notice: ENDED };
}

/** At a first visit there is nothing to tell, and a browser that keeps nothing does not know whether it is one. */
function foundEnded(code: string | undefined): Phase {
  return code === 'revoked' || code === 'token_expired' ? endedBy(code) : { name: 'guest' };
}

const EXPIRED = 'Your session has expired. Log in to go on. What was received is still here.';
const REVOKED =
  'Your session has ended: you or an administrator ended it. What this browser had received is deleted. Log in to go on.';
const ENDED = 'Your session has ended. Log in to go on. What was received is still here.';
