import { lazy, Suspense } from 'react';
import { GrantHint } from '../components/first-steps.tsx';
import { PageHead } from '../components/page-head.tsx';
import { PeopleList } from '../components/people-list.tsx';
import { useEngine } from '../hooks/use-engine.tsx';
import { useNow } from '../hooks/use-now.ts';
import { usePresence } from '../hooks/use-presence.ts';
import { useRights } from '../hooks/use-rights.ts';
import { useSession } from '../hooks/use-session.tsx';

const Invitations = lazy(async () => ({
  default: (await import('../components/invitations.tsx')).Invitations,
}));

const PeopleAccounts = lazy(async () => ({
  default: (await import('../components/accounts.tsx')).PeopleAccounts,
}));
const ClientAccounts = lazy(async () => ({
  default: (await import('../components/accounts.tsx')).ClientAccounts,
}));

export function PeoplePage() {
  const { chat } = useEngine();
  const presence = usePresence(chat);
  const { session } = useSession();
  const rights = useRights(session, true);
  const now = useNow(10_000);
  const people = presence.filter((entry) => entry.kind === 'user');
  const agents = presence.filter((entry) => entry.kind !== 'user');
  return (
    <section className="page" aria-label="People and branches">
      <PageHead title="People and branches" />
      <div className="columns">
        <PeopleList title="People" entries={people} now={now} empty="Nobody is here yet." />
        <PeopleList
          title="Branches and services"
          entries={agents}
          now={now}
          empty="No branch has connected yet. Each appears here, with what it still has to send and to receive."
        />
      </div>
      {rights?.administers === true ? (
        <div className="columns">
          <Suspense>
            <PeopleAccounts />
            <ClientAccounts />
            <Invitations />
          </Suspense>
          <section className="card steps" aria-label="Rights">
            <h2 className="card-title">Who may see which records</h2>
            <GrantHint />
          </section>
        </div>
      ) : null}
    </section>
  );
}
