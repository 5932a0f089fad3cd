import { PageHead } from '../components/page-head.tsx';
import { PeopleList } from '../components/people-list.tsx';
import { useEngine } from '../hooks/use-engine.tsx';
import { useNow } from '../hooks/use-now.ts';
import { usePresence } from '../hooks/use-presence.ts';

export function PeoplePage() {
  const { chat } = useEngine();
  const presence = usePresence(chat);
  const now = useNow(10_000);
  const people = presence.filter((entry) => entry.kind === 'user');
  const agents = presence.filter((entry) => entry.kind !== 'user');
  return (
    <section className="page" aria-label="People and branches">
      <PageHead title="People and branches" />
      <div className="columns">
        <PeopleList title="People" entries={people} now={now} empty="Nobody is here yet." />
        <PeopleList
          title="Branch agents"
          entries={agents}
          now={now}
          empty="No branch agent has connected yet. Each appears here with its queue and how far it is behind."
        />
      </div>
    </section>
  );
}
