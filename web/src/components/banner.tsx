import { useMemo } from 'react';
import type { LinkState } from '../../../sdk/index.ts';
import { useCountdown } from '../hooks/use-now.ts';

/** Says that what is shown may be old, and when the next try is. */
export function Banner({ state }: { state: LinkState }) {
  const retryAt = useMemo(() => ('retryInMs' in state ? Date.now() + state.retryInMs : 0), [state]);
  if (state.name !== 'offline') return null;
  return (
    <div className="banner" role="status">
      The gateway cannot be reached. What you see is the last state received. <Countdown retryAt={retryAt} />
    </div>
  );
}

/** Hidden from screen readers: a number that changes each second would be read each second. */
export function Countdown({ retryAt }: { retryAt: number }) {
  const seconds = useCountdown(retryAt);
  return <span aria-hidden="true">{seconds > 0 ? `Reconnecting in ${seconds} s.` : 'Reconnecting…'}</span>;
}
