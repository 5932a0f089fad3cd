import { useMemo } from 'react';
import type { LinkState } from '../../../sdk/index.ts';
import { useCountdown } from '../hooks/use-now.ts';
import type { Subject } from './connection.tsx';

interface BannerProps {
  subject: Subject;
  state: LinkState;
  onRetry: () => void;
}

/** Says that what is shown may be old, and when the next try is. */
export function Banner({ subject, state, onRetry }: BannerProps) {
  const retryAt = useMemo(() => ('retryInMs' in state ? Date.now() + state.retryInMs : 0), [state]);
  if (state.name !== 'offline') return null;
  return (
    <div className="banner" role="status">
      {WORDS[subject]} What you see is the last state received. <Countdown retryAt={retryAt} />{' '}
      <button type="button" className="link" onClick={onRetry}>
        Try now
      </button>
    </div>
  );
}

const WORDS: Record<Subject, string> = {
  records: 'The gateway cannot be reached.',
  chat: 'Chat and people are not connected.',
};

/** Hidden from screen readers: a number that changes each second would be read each second. */
export function Countdown({ retryAt }: { retryAt: number }) {
  const seconds = useCountdown(retryAt);
  return <span aria-hidden="true">{seconds > 0 ? `Reconnecting in ${seconds} s.` : 'Reconnecting…'}</span>;
}
