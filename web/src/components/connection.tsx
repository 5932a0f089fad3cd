import type { LinkState } from '../../../sdk/index.ts';
import { formatAgo, formatNumber, formatSeconds } from '../format.ts';
import { useDismiss } from '../hooks/use-dismiss.ts';
import type { Frames } from '../model/records.ts';

/** What a page shows comes over one of two connections, and each may be away while the other is not. */
export type Subject = 'records' | 'chat';

interface ConnectionProps {
  /** Of what is being looked at. */
  subject: Subject;
  states: Record<Subject, LinkState>;
  frames: Frames;
  /** Records read so far from the local copy; null: done. */
  reading: number | null;
  storage: 'kept' | 'memory';
  now: number;
}

/** One word in the header; opened, the whole truth about the connection. */
export function Connection(props: ConnectionProps) {
  const ref = useDismiss();
  const { tone, word } = describe(props.states[props.subject]);
  const facts = factsOf(props);
  return (
    <details className="menu" ref={ref}>
      <summary className="connection" data-tone={tone} aria-label={`Connection: ${word}`}>
        <span className="dot" data-tone={tone} aria-hidden="true" />
        <span>{word}</span>
      </summary>
      <dl className="menu-body facts">
        {facts.map(([term, value]) => (
          <div key={term}>
            <dt>{term}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}

type Tone = 'good' | 'busy' | 'bad';

function describe(state: LinkState): { tone: Tone; word: string } {
  switch (state.name) {
    case 'live':
      return { tone: 'good', word: 'Live' };
    case 'snapshot':
      return { tone: 'busy', word: `Receiving ${formatNumber(state.received)}` };
    case 'idle':
    case 'connecting':
      return { tone: 'busy', word: 'Connecting' };
    case 'refused':
      return { tone: 'bad', word: 'No access' };
    case 'offline':
    case 'closed':
      return { tone: 'bad', word: 'Offline' };
  }
}

function factsOf({ states, frames, reading, storage, now }: ConnectionProps): [string, string][] {
  return [
    ['Records', SENTENCES[states.records.name]],
    ['Chat and people', SENTENCES[states.chat.name]],
    ['Up to date', freshness(states.records, frames)],
    [
      'Last update',
      frames.at === null ? 'none yet' : `${formatSeconds(frames.at)} (${formatAgo(now - frames.at)})`,
    ],
    [
      'On this device',
      storage === 'kept' ? 'a copy is kept in this browser' : 'no copy is kept: another tab has it',
    ],
    ...(reading === null ? [] : [['Reading', `${formatNumber(reading)} records`] as [string, string]]),
  ];
}

/** The number is the gateway's own count of changes: what to name when asking for help. */
function freshness(state: LinkState, { behind, version }: Frames): string {
  if (!('head' in state)) return 'not known while there is no connection';
  const missing = Math.max(0, state.head - version);
  if (behind && missing > 0) return `not yet: ${formatNumber(missing)} updates to come`;
  return state.name === 'snapshot' ? 'not yet' : `yes, to update ${formatNumber(state.head)}`;
}

const SENTENCES: Record<LinkState['name'], string> = {
  idle: 'starting',
  connecting: 'connecting',
  snapshot: 'receiving the records',
  live: 'every change arrives as it happens',
  refused: 'the gateway refuses this account',
  offline: 'not connected, trying again',
  closed: 'closed',
};
