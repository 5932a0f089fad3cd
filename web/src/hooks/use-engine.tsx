import { createContext, use, useEffect, useState, useSyncExternalStore, type ReactNode } from 'react';
import type { LinkState, SessionUser } from '../../../sdk/index.ts';
import { startEngine, type Engine } from '../model/engine.ts';
import type { Signal } from '../model/signal.ts';
import { useSession } from './use-session.tsx';

interface EngineProviderProps {
  user: SessionUser;
  /** Shown until the local copy is open. */
  waiting: ReactNode;
  children: ReactNode;
}

const context = createContext<Engine | null>(null);

/** Runs the engine for as long as this user is logged in. */
export function EngineProvider({ user, waiting, children }: EngineProviderProps) {
  const { session, end } = useSession();
  const [engine, setEngine] = useState<Engine>();
  const [failure, setFailure] = useState<unknown>();

  useEffect(() => {
    const starting = startEngine({ session, user, url: location.origin, onRevoked: end });
    starting.then(setEngine).catch(setFailure);
    return () => {
      setEngine(undefined);
      starting.then((started) => started.close()).catch(() => undefined);
    };
  }, [session, user.id, end]);

  if (failure !== undefined) throw failure instanceof Error ? failure : new Error('the engine did not start');
  if (!engine) return waiting;
  return <context.Provider value={engine}>{children}</context.Provider>;
}

export function useEngine(): Engine {
  const value = use(context);
  if (!value) throw new Error('useEngine needs an EngineProvider above it');
  return value;
}

/** Renders again when the signal fires: at most once per frame. Returns its version, to be used as a dependency. */
export function useSignal(signal: Signal): number {
  return useSyncExternalStore(signal.subscribe, signal.version);
}

interface Linked {
  readonly state: LinkState;
  on: (event: 'state', listener: (state: LinkState) => void) => () => void;
}

export function useLinkState(client: Linked): LinkState {
  return useSyncExternalStore(
    (listener) => client.on('state', listener),
    () => client.state,
  );
}
