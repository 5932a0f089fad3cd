import { Badge } from '@mantine/core';
import type { Presence } from '../../../sdk/index.ts';
import { formatAge, formatNumber } from '../format.ts';
import { PersonName } from './person-name.tsx';

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
  const { name, displayName, status, text, since, queue, lag, inbox } = entry;
  const isAgent = queue !== undefined || lag !== undefined;
  return (
    <li>
      <span className="dot" data-tone={status} aria-hidden="true" />
      <span className="two-lines person-name">
        <PersonName name={name} displayName={displayName} />
        <span className="sub">
          {text === undefined || text === '' ? '' : `${text} · `}
          for {formatAge(now - Date.parse(since))}
        </span>
      </span>
      {isAgent ? (
        <span className="agent-figures">
          <Figure words={[queue, 'to send', 'all sent']} />
          <Figure words={[lag, 'to receive', 'up to date']} />
          {inbox ? <Figure words={[inbox, 'refused', '']} /> : null}
        </span>
      ) : null}
      <Badge variant="light" color={COLORS[status]} radius="sm" className="kind">
        {WORDS[status]}
      </Badge>
    </li>
  );
}

function Figure({ words: [count, some, none] }: { words: [number | undefined, string, string] }) {
  if (count === undefined) return null;
  return (
    <span className={count > 0 ? 'low' : 'sub'}>{count > 0 ? `${formatNumber(count)} ${some}` : none}</span>
  );
}
