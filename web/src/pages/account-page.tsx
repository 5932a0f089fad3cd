import { Link, Redirect, useParams } from 'wouter';
import { PageHead } from '../components/page-head.tsx';
import { ProfileTab } from './account/profile-tab.tsx';
import { SecurityTab } from './account/security-tab.tsx';
import { SessionsTab } from './account/sessions-tab.tsx';

const TABS = [
  { name: 'profile', label: 'Profile', Tab: ProfileTab },
  { name: 'security', label: 'Logging in', Tab: SecurityTab },
  { name: 'sessions', label: 'Sessions', Tab: SessionsTab },
];

/** What belongs to the person who is logged in. */
export function AccountPage() {
  const { tab = 'profile' } = useParams<{ tab?: string }>();
  const current = TABS.find(({ name }) => name === tab);
  if (!current) return <Redirect to="/account" replace />;
  return (
    <section className="page account-page" aria-label="Your account">
      <PageHead title="Your account" />
      <nav className="tabs" aria-label="Your account">
        {TABS.map(({ name, label }) => (
          <Link key={name} href={`/account/${name}`} aria-current={name === tab ? 'page' : undefined}>
            {label}
          </Link>
        ))}
      </nav>
      <current.Tab />
    </section>
  );
}
