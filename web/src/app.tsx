import { lazy, Suspense } from 'react';
import { Button, createTheme, MantineProvider } from '@mantine/core';
import { Redirect, Route, Router, Switch } from 'wouter';
import { useHashLocation } from 'wouter/use-hash-location';
import type { Session } from '../../sdk/index.ts';
import { Countdown } from './components/banner.tsx';
import { Failure } from './components/failure.tsx';
import { Waiting } from './components/waiting.tsx';
import { SessionProvider, useSession } from './hooks/use-session.tsx';
import type { Farewell } from './model/farewell.ts';
import type { Renewals } from './model/renewals.ts';

const SignedIn = lazy(async () => ({ default: (await import('./pages/signed-in.tsx')).SignedIn }));
const LoginPage = lazy(async () => ({ default: (await import('./pages/login-page.tsx')).LoginPage }));
const SignupPage = lazy(async () => ({ default: (await import('./pages/signup-page.tsx')).SignupPage }));
const VerifyPage = lazy(async () => ({ default: (await import('./pages/verify-page.tsx')).VerifyPage }));
const ForgotPage = lazy(async () => ({ default: (await import('./pages/forgot-page.tsx')).ForgotPage }));
const ResetPage = lazy(async () => ({ default: (await import('./pages/reset-page.tsx')).ResetPage }));
const InvitePage = lazy(async () => ({ default: (await import('./pages/invite-page.tsx')).InvitePage }));

const theme = createTheme({
  primaryColor: 'teal',
  defaultRadius: 'sm',
  // Every field of these forms is required: an asterisk at each says nothing.
  components: { InputWrapper: { defaultProps: { withAsterisk: false } } },
});

interface AppProps {
  session: Session;
  farewell: Farewell;
  renewals: Renewals;
}

/**
 * Variables and classes come from static style sheets (main.tsx): Mantine's own <style> elements would need
 * 'unsafe-inline' in the content security policy. Routes are in the fragment, so that any static server can serve them.
 */
export function App({ session, farewell, renewals }: AppProps) {
  return (
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      withCssVariables={false}
      withGlobalClasses={false}
    >
      <Failure>
        <SessionProvider session={session} farewell={farewell} renewals={renewals}>
          <Router hook={useHashLocation}>
            <Suspense fallback={<Waiting words="Loading…" />}>
              <Gate />
            </Suspense>
          </Router>
        </SessionProvider>
      </Failure>
    </MantineProvider>
  );
}

function Gate() {
  const { phase, retry, logout } = useSession();
  switch (phase.name) {
    case 'restoring':
      return <Waiting words="Looking for your session…" />;
    case 'unreachable':
      return (
        <Waiting words={phase.message}>
          <p>
            <Countdown retryAt={phase.retryAt} />
          </p>
          <Button variant="default" onClick={retry}>
            Try now
          </Button>
          <Button variant="subtle" onClick={logout}>
            Log out
          </Button>
        </Waiting>
      );
    case 'leaving':
      return <Waiting words="Logging out…" />;
    case 'guest':
      return <Guest />;
    case 'user':
      return <SignedIn key={phase.user.id} user={phase.user} />;
  }
}

function Guest() {
  return (
    <Switch>
      <Route path="/login">
        <LoginPage />
      </Route>
      <Route path="/forgot" component={ForgotPage} />
      <Route path="/reset" component={ResetPage} />
      <Route path="/invite" component={InvitePage} />
      {/* Stays in the address, so that the page itself is there after the login. */}
      <Route path="/device">
        <LoginPage why="A terminal asks to be let in. Log in to decide." />
      </Route>
      <Route path="/signup" component={SignupPage} />
      <Route path="/verify" component={VerifyPage} />
      <Route>
        <Redirect to="/login" replace />
      </Route>
    </Switch>
  );
}
