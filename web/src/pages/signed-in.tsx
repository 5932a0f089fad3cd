import { lazy, Suspense, useCallback } from 'react';
import type { SessionUser, Status } from '../../../sdk/index.ts';
import { Redirect, Route, Switch } from 'wouter';
import { AccountMenu } from '../components/account-menu.tsx';
import { Banner } from '../components/banner.tsx';
import { Connection } from '../components/connection.tsx';
import { Shell } from '../components/shell.tsx';
import { Waiting } from '../components/waiting.tsx';
import { EngineProvider, useEngine, useLinkState, useSignal } from '../hooks/use-engine.tsx';
import { useNow } from '../hooks/use-now.ts';
import { usePresence } from '../hooks/use-presence.ts';
import { useSession } from '../hooks/use-session.tsx';

const InvoicesPage = lazy(async () => ({ default: (await import('./invoices-page.tsx')).InvoicesPage }));
const StockPage = lazy(async () => ({ default: (await import('./stock-page.tsx')).StockPage }));
const OrdersPage = lazy(async () => ({ default: (await import('./orders-page.tsx')).OrdersPage }));
const ChatPage = lazy(async () => ({ default: (await import('./chat-page.tsx')).ChatPage }));
const PeoplePage = lazy(async () => ({ default: (await import('./people-page.tsx')).PeoplePage }));

/** Everything behind the login. */
export function SignedIn({ user }: { user: SessionUser }) {
  return (
    <EngineProvider user={user} waiting={<Waiting words="Opening your local copy…" />}>
      <Frame user={user} />
    </EngineProvider>
  );
}

function Frame({ user }: { user: SessionUser }) {
  const { sync, rooms } = useEngine();
  const state = useLinkState(sync);
  useSignal(rooms.signal);
  return (
    <Shell
      unread={rooms.unread()}
      connection={<ConnectionMenu />}
      account={<Account user={user} />}
      banner={<Banner state={state} />}
    >
      <Suspense fallback={<Waiting words="Loading…" />}>
        <Switch>
          <Route path="/invoices" component={InvoicesPage} />
          <Route path="/stock" component={StockPage} />
          <Route path="/orders" component={OrdersPage} />
          <Route path="/chat/:room?" component={ChatPage} />
          <Route path="/people" component={PeoplePage} />
          <Route>
            <Redirect to="/invoices" replace />
          </Route>
        </Switch>
      </Suspense>
    </Shell>
  );
}

function ConnectionMenu() {
  const { sync, records, storage } = useEngine();
  const state = useLinkState(sync);
  useSignal(records.progress);
  const now = useNow();
  return (
    <Connection
      state={state}
      frames={records.frames()}
      reading={records.reading()}
      storage={storage}
      now={now}
    />
  );
}

function Account({ user }: { user: SessionUser }) {
  const { chat } = useEngine();
  const { logout } = useSession();
  const presence = usePresence(chat);
  // Principals are named by kind and id on some events, by id alone on others.
  const mine = presence.find((one) => one.principal === user.id || one.principal === `user:${user.id}`);
  const setStatus = useCallback(
    (status: Status, text: string) => chat.setStatus(status, ...(text.trim() === '' ? [] : [text.trim()])),
    [chat],
  );
  return (
    <AccountMenu
      username={user.username}
      status={mine?.status ?? 'online'}
      text={mine?.text ?? ''}
      onStatus={setStatus}
      onLogout={logout}
    />
  );
}
