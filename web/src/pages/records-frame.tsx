import type { ReactNode } from 'react';
import { Progress } from '@mantine/core';
import type { LinkState } from '../../../sdk/index.ts';
import { FirstSteps } from '../components/first-steps.tsx';
import { NoGrants, RoleForbids } from '../components/no-grants.tsx';
import { formatNumber } from '../format.ts';
import { useEngine, useLinkState, useSignal } from '../hooks/use-engine.tsx';
import { usePresence } from '../hooks/use-presence.ts';
import { useRights, type Rights } from '../hooks/use-rights.ts';
import { useSession } from '../hooks/use-session.tsx';

const NO_ACCESS = new Set(['forbidden', 'forbidden_partition']);

/** A live view; above it how far it has got, and in its place why there is nothing to see. */
export function RecordsFrame({ children }: { children: ReactNode }) {
  const { sync, records } = useEngine();
  const { session } = useSession();
  const state = useLinkState(sync);
  useSignal(records.progress);
  const noAccess = state.name === 'refused' && NO_ACCESS.has(state.code);
  const nothing = records.reading() === null && records.isEmpty();
  const rights = useRights(session, noAccess || (state.name === 'live' && nothing));
  if (noAccess || (nothing && lacksRight(rights))) return <WithoutRight rights={rights} />;
  if (nothing && rights?.administers === true) return <WithoutRecords />;
  return (
    <>
      <Notes state={state} reading={records.reading()} />
      {children}
    </>
  );
}

function lacksRight(rights: Rights | undefined): boolean {
  return rights !== undefined && (rights.roleForbids || !rights.reads);
}

function WithoutRight({ rights }: { rights: Rights | undefined }) {
  const { phase } = useSession();
  const username = phase.name === 'user' ? phase.user.username : '';
  return rights?.roleForbids === true ? (
    <RoleForbids username={username} role={rights.role} />
  ) : (
    <NoGrants username={username} />
  );
}

function WithoutRecords() {
  const { chat } = useEngine();
  const presence = usePresence(chat);
  return <FirstSteps connected={presence.some((entry) => entry.kind !== 'user')} />;
}

function Notes({ state, reading }: { state: LinkState; reading: number | null }) {
  if (reading !== null && reading > 0)
    return <Filling words={`Reading the local copy: ${formatNumber(reading)} records`} />;
  if (state.name === 'snapshot')
    return <Filling words={`Receiving the records: ${formatNumber(state.received)} so far`} />;
  return state.name === 'refused' ? <Refused state={state} /> : null;
}

function Refused({ state }: { state: Extract<LinkState, { name: 'refused' }> }) {
  return (
    <p className="note" role="alert">
      The gateway refuses this connection ({state.code}). {state.message ?? ''} Trying again by itself.
    </p>
  );
}

function Filling({ words }: { words: string }) {
  return (
    <div className="filling" role="status">
      <span>{words}</span>
      <Progress value={100} animated size="xs" aria-label={words} />
    </div>
  );
}
