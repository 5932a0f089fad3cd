import './styles/mantine.ts';
import './styles/base.css';
import './styles/layout.css';
import './styles/rows.css';
import './styles/chat.css';
import './styles/account.css';
import { createRoot } from 'react-dom/client';
import { config } from 'zod';
import { createSession } from '../../sdk/index.ts';
import { App } from './app.tsx';
import { receiveArrival } from './model/arrival.ts';
import { createFarewell } from './model/farewell.ts';
import { createRenewals } from './model/renewals.ts';
import { createTurns } from './model/turns.ts';

// Schemas are interpreted: compiling them would need 'unsafe-eval' in the content security policy.
config({ jitless: true });

receiveArrival();

const renewals = createRenewals(createTurns());
const farewell = createFarewell(() => session.logout());
const session = createSession({
  baseUrl: location.origin,
  web: true,
  inTurn: renewals.inTurn,
  beforeLogin: farewell.settle,
});
const root = document.getElementById('root');
if (root) createRoot(root).render(<App session={session} farewell={farewell} renewals={renewals} />);
