import type { LinkState } from '../../../sdk/index.ts';
import { formatAge, formatNumber, formatSeconds } from '../format.ts';
import { useDismiss } from '../hooks/use-dismiss.ts';
import type { Frames } from '../model/records.ts';

interface ConnectionProps {
  state: LinkState;
  frames: Frames;
  /** Records read so far from the local copy; null: done. */
  reading: number | null;
  storage: 'kept' | 'memory';
  now: number;
}

/** One word in the header; opened, the whole truth about the connection. */
export function Connection({ state, frames, reading, storage, now }: ConnectionProps) {
  const ref = useDismiss();
  const { tone, word } = describe(state);
  const facts = factsOf({ state, frames, reading, storage, now });
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

function factsOf({ state, frames, reading, storage, now }: ConnectionProps): [string, string][] {
  const head = 'head' in state ? state.head : undefined;
  const lag = head === undefined ? undefined : frames.behind ? Math.max(0, head - frames.version) : 0;
  return [
    ['State', SENTENCES[state.name]],
    ['Head', head === undefined ? 'unknown' : formatNumber(head)],
    ['Lag', lag === undefined ? 'unknown' : lag === 0 ? 'none' : `${formatNumber(lag)} versions`],
    [
      'Last frame',
      frames.at === null ? 'none yet' : `${formatSeconds(frames.at)} (${formatAge(now - frames.at)} ago)`,
    ],
    ['Local copy', storage === 'kept' ? 'kept in this browser' : 'in memory: another tab keeps it'],
    ...(reading === null ? [] : [['Reading', `${formatNumber(reading)} records`] as [string, string]]),
  ];
}

const SENTENCES: Record<LinkState['name'], string> = {
  idle: 'not started',
  connecting: 'connecting',
  snapshot: 'receiving a snapshot',
  live: 'every change arrives as it is committed',
  refused: 'the gateway refuses this account',
  offline: 'the gateway cannot be reached',
  closed: 'closed',
};
