import { useRef, type ReactNode } from 'react';
import { Link, useRoute } from 'wouter';
import { Icon, type IconName } from './icon.tsx';
import { Unread } from './room-list.tsx';

interface ShellProps {
  unread: number;
  connection: ReactNode;
  account: ReactNode;
  banner: ReactNode;
  children: ReactNode;
}

/** Header, navigation (a rail at the side; at the foot on phones) and the page. */
export function Shell({ unread, connection, account, banner, children }: ShellProps) {
  const main = useRef<HTMLElement>(null);
  return (
    <div className="shell">
      <button type="button" className="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <header className="top">
        <span className="brand">Sluice</span>
        <span className="spacer" />
        {connection}
        {account}
      </header>
      <nav className="rail" aria-label="Sections">
        <Item href="/invoices" icon="invoices" label="Invoices" native="Fatura" />
        <Item href="/stock" icon="stock" label="Stock" native="Stoku" />
        <Item href="/orders" icon="orders" label="Orders" native="Porosia" />
        <Item href="/chat" icon="chat" label="Chat" badge={<Unread count={unread} />} />
        <Item href="/people" icon="people" label="People" />
      </nav>
      <main className="main" ref={main} tabIndex={-1}>
        {banner}
        {children}
      </main>
    </div>
  );
}

interface ItemProps {
  href: string;
  icon: IconName;
  label: string;
  /** The collection's own, Albanian name. */
  native?: string;
  badge?: ReactNode;
}

function Item({ href, icon, label, native, badge }: ItemProps) {
  const [active] = useRoute(`${href}/*?`);
  return (
    <Link href={href} className="rail-item" aria-current={active ? 'page' : undefined}>
      <Icon name={icon} />
      <span>{label}</span>
      {native === undefined ? null : (
        <span className="native" lang="sq">
          {native}
        </span>
      )}
      {badge}
    </Link>
  );
}
