import { Badge } from '@mantine/core';
import type { Presence } from '../../../sdk/index.ts';
import { formatAge, formatNumber } from '../format.ts';

const WORDS: Record<Presence['status'], string> = {
  online: 'Online',
  away: 'Away',
  busy: 'Busy',
  offline: 'Offline',
};
const COLORS: Record<Presence['status'], string> = {
  online: 'teal',
  away: 'yellow',
  busy: 'red',
  offline: 'gray',
};

interface PeopleListProps {
  title: string;
  entries: readonly Presence[];
  now: number;
  empty: string;
}

export function PeopleList({ title, entries, now, empty }: PeopleListProps) {
  return (
    <section className="card" aria-label={title}>
      <h2 className="card-title">
        {title} <span className="sub">{formatNumber(entries.length)}</span>
      </h2>
      {entries.length === 0 ? <p className="note">{empty}</p> : null}
      <ul className="people">
        {entries.map((entry) => (
          <Person key={entry.principal} entry={entry} now={now} />
        ))}
      </ul>
    </section>
  );
}

function Person({ entry, now }: { entry: Presence; now: number }) {
  const { name, status, text, since, queue, lag } = entry;
  const isAgent = queue !== undefined || lag !== undefined;
  return (
    <li>
      <span className="dot" data-tone={status} aria-hidden="true" />
      <span className="two-lines person-name">
        <span>{name}</span>
        <span className="sub">
          {text === undefined || text === '' ? '' : `${text} · `}
          since {formatAge(now - Date.parse(since))}
        </span>
      </span>
      {isAgent ? (
        <span className="agent-figures">
          <Figure label="queue" value={queue} />
          <Figure label="lag" value={lag} />
        </span>
      ) : null}
      <Badge variant="light" color={COLORS[status]} radius="sm" className="kind">
        {WORDS[status]}
      </Badge>
    </li>
  );
}

function Figure({ label, value }: { label: string; value: number | undefined }) {
  if (value === undefined) return null;
  return (
    <span className={value > 0 ? 'low' : ''}>
      {label} {formatNumber(value)}
    </span>
  );
}
