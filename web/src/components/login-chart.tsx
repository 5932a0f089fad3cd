import { formatNumber } from '../format.ts';

interface LoginChartProps {
  /** Oldest first; `name` says when. */
  counts: readonly { name: string; attempts: number; failures: number }[];
}

const [WIDTH, HEIGHT, GAP] = [600, 120, 2];

/** Attempts as bars, the refused part of each in another colour; the label says the same in words. */
export function LoginChart({ counts }: LoginChartProps) {
  const most = Math.max(1, ...counts.map(({ attempts }) => attempts));
  const step = WIDTH / Math.max(1, counts.length);
  const heightOf = (count: number): number => (count / most) * HEIGHT;
  return (
    <figure className="login-chart">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Attempts to log in since ${counts[0]?.name ?? 'now'}, at most ${formatNumber(most)} at a time`}
      >
        {counts.map(({ name, attempts, failures }, index) => (
          <g key={index}>
            <title>{`${name}: ${formatNumber(attempts)}, ${formatNumber(failures)} refused`}</title>
            <rect
              className="tried"
              x={index * step}
              y={HEIGHT - heightOf(attempts)}
              width={step - GAP}
              height={heightOf(attempts)}
            />
            <rect
              className="refused"
              x={index * step}
              y={HEIGHT - heightOf(failures)}
              width={step - GAP}
              height={heightOf(failures)}
            />
          </g>
        ))}
      </svg>
      <figcaption className="sub">
        <span>{counts[0]?.name}</span>
        <span>
          most at a time {formatNumber(most)} · <span className="key tried" aria-hidden="true" /> attempts{' '}
          <span className="key refused" aria-hidden="true" /> refused
        </span>
        <span>{counts.at(-1)?.name}</span>
      </figcaption>
    </figure>
  );
}
