import { Progress } from '@mantine/core';
import type { LinkState } from '../../../sdk/index.ts';
import { NoGrants } from '../components/no-grants.tsx';
import { formatNumber } from '../format.ts';
import { useEngine, useLinkState, useSignal } from '../hooks/use-engine.tsx';
import { useGrants } from '../hooks/use-grants.ts';
import { useSession } from '../hooks/use-session.tsx';

const NO_ACCESS = new Set(['forbidden', 'forbidden_partition']);

/** Above each live view: why there is nothing to see, or how far it has got. */
export function RecordsNote({ empty }: { empty: boolean }) {
  const { sync, records } = useEngine();
  const { session, phase } = useSession();
  const state = useLinkState(sync);
  useSignal(records.progress);
  const username = phase.name === 'user' ? phase.user.username : '';
  const reading = records.reading();
  const granted = useGrants(session, state.name === 'live' && empty && reading === null);
  if (reading !== null && reading > 0)
    return <Filling words={`Reading the local copy: ${formatNumber(reading)} records`} />;
  if (state.name === 'snapshot')
    return <Filling words={`Receiving the records: ${formatNumber(state.received)} so far`} />;
  if (state.name === 'refused' && !NO_ACCESS.has(state.code)) return <Refused state={state} />;
  return state.name === 'refused' || (empty && granted === false) ? <NoGrants username={username} /> : null;
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
