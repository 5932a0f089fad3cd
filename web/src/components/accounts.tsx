import { useLoaded } from '../hooks/use-loaded.ts';
import { useAdministration } from '../hooks/use-administration.ts';
import { useSession } from '../hooks/use-session.tsx';
import { formatNumber } from '../format.ts';
import { Awaited } from './awaited.tsx';
import { Card } from './card.tsx';
import { PersonName } from './person-name.tsx';
import { Switchable } from './switchable.tsx';

/** To administrators: who has an account, and who of them is kept out. */
export function PeopleAccounts() {
  const administration = useAdministration();
  const { phase } = useSession();
  const me = phase.name === 'user' ? phase.user.id : '';
  const loaded = useLoaded(administration.people);
  return (
    <Card title="Accounts of people" state={<Count of={loaded.value} />}>
      <Awaited of={loaded}>
        {(people) => (
          <ul className="entries">
            {people.map(({ id, username, displayName, email, role, partitions, verified, disabled }) => (
              <Switchable
                key={id}
                name={username}
                own={id === me}
                disabled={disabled}
                warning="They are logged out everywhere at once and cannot log in again until you enable them. Nothing of theirs is deleted."
                onSwitch={(off) => administration.switchPerson(id, off)}
                onSwitched={loaded.reload}
              >
                <PersonName name={username} displayName={displayName ?? undefined} />
                <span className="sub">
                  {[email, role, ...partitions, ...(verified ? [] : ['not verified'])].join(' · ')}
                </span>
              </Switchable>
            ))}
          </ul>
        )}
      </Awaited>
    </Card>
  );
}

/** To administrators: branch agents and services that may come in, and those that may not. */
export function ClientAccounts() {
  const administration = useAdministration();
  const loaded = useLoaded(administration.clients);
  return (
    <Card title="Registered branches and services" state={<Count of={loaded.value} />}>
      <Awaited of={loaded}>
        {(clients) => (
          <ul className="entries">
            {clients.length === 0 ? <li className="note">None yet.</li> : null}
            {clients.map(({ id, client_id: clientId, name, partitions, disabled }) => (
              <Switchable
                key={id}
                name={name}
                disabled={disabled}
                warning="Its tokens and its connections end at once. What it has still to send waits with it until you enable it."
                onSwitch={(off) => administration.switchClient(id, off)}
                onSwitched={loaded.reload}
              >
                <span className="strong">{name}</span>
                <span className="sub">{[clientId, ...partitions].join(' · ')}</span>
              </Switchable>
            ))}
          </ul>
        )}
      </Awaited>
    </Card>
  );
}

function Count({ of }: { of: readonly unknown[] | undefined }) {
  return of === undefined ? null : <span className="sub">{formatNumber(of.length)}</span>;
}
