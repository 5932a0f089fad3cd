import { Alert, Button } from '@mantine/core';
import { useAction } from '../hooks/use-action.ts';
import { useSession } from '../hooks/use-session.tsx';
import { Fault } from './fault.tsx';

/** Logged out here, while the gateway could not be told: nobody may take that for the end of the session. */
export function OwedFarewell() {
  const { farewell, owed } = useSession();
  const { busy, error, run } = useAction();
  if (!owed) return null;
  return (
    <>
      <Alert role="alert" color="yellow" title="This browser has forgotten you">
        <p>
          The gateway could not be told, so your session there has not ended yet. This page ends it as soon as
          the gateway can be reached, also when it is opened again.
        </p>
        <p>
          On a computer that others use, leave this page open until it says that you are logged out. Or end
          the session from another device: Your account, Sessions.
        </p>
        <Button size="sm" variant="default" loading={busy} onClick={() => void run(farewell.settle)}>
          Try now
        </Button>
      </Alert>
      <Fault error={error} />
    </>
  );
}
