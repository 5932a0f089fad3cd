import { Link, Redirect, useParams } from 'wouter';
import { PageHead } from '../components/page-head.tsx';
import { useRights } from '../hooks/use-rights.ts';
import { useSession } from '../hooks/use-session.tsx';
import { DevicesTab } from './account/devices-tab.tsx';
import { LoginsTab } from './account/logins-tab.tsx';
import { ProfileTab } from './account/profile-tab.tsx';
import { SecurityTab } from './account/security-tab.tsx';
import { SessionsTab } from './account/sessions-tab.tsx';

const TABS = [
  { name: 'profile', label: 'Profile', Tab: ProfileTab },
  { name: 'security', label: 'Logging in', Tab: SecurityTab },
  { name: 'sessions', label: 'Sessions', Tab: SessionsTab },
  { name: 'devices', label: 'Devices', Tab: DevicesTab },
];
/** For those who may read the audit log. */
const LOGINS = { name: 'logins', label: 'Logins', Tab: LoginsTab };

/** What belongs to the person who is logged in. */
export function AccountPage() {
  const { tab = 'profile' } = useParams<{ tab?: string }>();
  const { session } = useSession();
  const rights = useRights(session, true);
  const tabs = rights?.audits === true || tab === LOGINS.name ? [...TABS, LOGINS] : TABS;
  const current = tabs.find(({ name }) => name === tab);
  if (!current) return <Redirect to="/account" replace />;
  return (
    <section className="page account-page" aria-label="Your account">
      <PageHead title="Your account" />
      <nav className="tabs" aria-label="Your account">
        {tabs.map(({ name, label }) => (
          <Link key={name} href={`/account/${name}`} aria-current={name === tab ? 'page' : undefined}>
            {label}
          </Link>
        ))}
      </nav>
      <current.Tab />
    </section>
  );
}
