import { Suspense, useCallback, useEffect, useState } from 'react';
import type { LinkState, SessionUser, Status } from '../../../sdk/index.ts';
import { Redirect, Route, Switch, useLocation } from 'wouter';
import { AccountMenu } from '../components/account-menu.tsx';
import { Banner } from '../components/banner.tsx';
import { DeviceNotice } from '../components/device-notice.tsx';
import { InvitedAlready } from '../components/invited-already.tsx';
import { Connection, type Subject } from '../components/connection.tsx';
import { Confirm } from '../components/confirm.tsx';
import { Shell } from '../components/shell.tsx';
import { Waiting } from '../components/waiting.tsx';
import { EngineProvider, useEngine, useLinkState, useSignal } from '../hooks/use-engine.tsx';
import { useNow } from '../hooks/use-now.ts';
import { usePresence } from '../hooks/use-presence.ts';
import { useSession } from '../hooks/use-session.tsx';
import { StepUpProvider } from '../hooks/use-step-up.tsx';
import { later } from '../later.ts';

const load = {
  invoices: async () => (await import('./invoices-page.tsx')).InvoicesPage,
  stock: async () => (await import('./stock-page.tsx')).StockPage,
  orders: async () => (await import('./orders-page.tsx')).OrdersPage,
  chat: async () => (await import('./chat-page.tsx')).ChatPage,
  people: async () => (await import('./people-page.tsx')).PeoplePage,
};
const InvoicesPage = later(load.invoices);
const StockPage = later(load.stock);
const OrdersPage = later(load.orders);
const ChatPage = later(load.chat);
const PeoplePage = later(load.people);
const AccountPage = later(async () => (await import('./account-page.tsx')).AccountPage);
const DevicePage = later(async () => (await import('./device-page.tsx')).DevicePage);

/** What is used every day is there before it is asked for, and so also while the gateway is out of reach. */
const AHEAD_MS = 500;

/** Everything behind the login. */
export function SignedIn({ user }: { user: SessionUser }) {
  return (
    <EngineProvider user={user} waiting={<Waiting words="Opening your local copy…" />}>
      <StepUpProvider>
        <Frame user={user} />
      </StepUpProvider>
    </EngineProvider>
  );
}

function Frame({ user }: { user: SessionUser }) {
  const { chat, rooms, sync } = useEngine();
  const { subject, states } = useStates();
  useSignal(rooms.signal);
  useEffect(() => {
    const timer = setTimeout(() => {
      for (const part of Object.values(load)) part().catch(() => undefined);
    }, AHEAD_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <Shell
      unread={rooms.unread()}
      connection={<ConnectionMenu />}
      account={<Account user={user} />}
      banner={
        <>
          <Banner
            subject={subject}
            state={states[subject]}
            onRetry={() => {
              sync.retryNow();
              chat.retryNow();
            }}
          />
          <DeviceNotice chat={chat} />
        </>
      }
    >
      <Suspense fallback={<Waiting words="Loading…" />}>
        <Switch>
          <Route path="/invoices" component={InvoicesPage} />
          <Route path="/stock" component={StockPage} />
          <Route path="/orders" component={OrdersPage} />
          <Route path="/chat/:room?" component={ChatPage} />
          <Route path="/people" component={PeoplePage} />
          <Route path="/account/:tab?" component={AccountPage} />
          <Route path="/device" component={DevicePage} />
          <Route path="/invite">
            <InvitedAlready username={user.username} />
          </Route>
          <Route>
            <Redirect to="/invoices" replace />
          </Route>
        </Switch>
      </Suspense>
    </Shell>
  );
}

/** Both connections, and which of them brings what the page in view shows. */
function useStates(): { subject: Subject; states: Record<Subject, LinkState> } {
  const { sync, chat } = useEngine();
  const [path] = useLocation();
  const states = { records: useLinkState(sync), chat: useLinkState(chat) };
  return { subject: /^\/(chat|people)\b/.test(path) ? 'chat' : 'records', states };
}

function ConnectionMenu() {
  const { records, storage } = useEngine();
  const { subject, states } = useStates();
  useSignal(records.progress);
  const now = useNow();
  return (
    <Connection
      subject={subject}
      states={states}
      frames={records.frames()}
      reading={records.reading()}
      storage={storage}
      now={now}
    />
  );
}

function Account({ user }: { user: SessionUser }) {
  const { chat, rooms } = useEngine();
  const { logout, renew } = useSession();
  const [unsent, setUnsent] = useState(0);
  // The answer to a login does not say what somebody wants to be called.
  useEffect(() => void renew().catch(() => undefined), [renew]);
  const presence = usePresence(chat);
  const chatState = useLinkState(chat);
  // Principals are named by kind and id on some events, by id alone on others.
  const mine = presence.find((one) => one.principal === user.id || one.principal === `user:${user.id}`);
  const setStatus = useCallback(
    (status: Status, text: string) => chat.setStatus(status, ...(text.trim() === '' ? [] : [text.trim()])),
    [chat],
  );
  return (
    <>
      <AccountMenu
        username={user.username}
        displayName={displayNameOf(user)}
        isConnected={chatState.name === 'live'}
        status={mine?.status ?? 'online'}
        text={mine?.text ?? ''}
        onStatus={setStatus}
        onLogout={() => (rooms.waiting() === 0 ? logout() : setUnsent(rooms.waiting()))}
      />
      {unsent === 0 ? null : (
        <Confirm title="Log out?" deed="Log out" onConfirm={logout} onClose={() => setUnsent(0)}>
          {unsent === 1 ? 'One message has' : `${unsent} messages have`} not been sent yet. Logging out
          deletes what waits.
        </Confirm>
      )}
    </>
  );
}

function displayNameOf({ display_name: name }: SessionUser): string | undefined {
  return typeof name === 'string' ? name : undefined;
}
