import { Badge, Button, Text } from '@mantine/core';
import { AnonymousDevices } from '../../components/anonymous-devices.tsx';
import { Awaited } from '../../components/awaited.tsx';
import { Card } from '../../components/card.tsx';
import { Fault } from '../../components/fault.tsx';
import { formatAgo, formatNumber } from '../../format.ts';
import { useAction } from '../../hooks/use-action.ts';
import { useLoaded } from '../../hooks/use-loaded.ts';
import { useNow } from '../../hooks/use-now.ts';
import { useRights } from '../../hooks/use-rights.ts';
import { useSession } from '../../hooks/use-session.tsx';
import { useAccount } from '../../hooks/use-step-up.tsx';
import { devicesOf, type OwnDevice } from '../../model/own-devices.ts';

/** What this person is logged in with; to administrators also what is nobody's. */
export function DevicesTab() {
  const account = useAccount();
  const { session } = useSession();
  const rights = useRights(session, true);
  const loaded = useLoaded(account.sessions);
  return (
    <>
      <Card title="Your devices">
        <Text size="sm">What you are logged in with, whatever number of sessions it has.</Text>
        <Awaited of={loaded}>
          {(sessions) => (
            <ul className="entries">
              {devicesOf(sessions).map((device) => (
                <Entry key={device.name} device={device} onEnded={loaded.reload} />
              ))}
            </ul>
          )}
        </Awaited>
      </Card>
      {rights?.administers === true ? <AnonymousDevices /> : null}
    </>
  );
}

function Entry({ device, onEnded }: { device: OwnDevice; onEnded: () => Promise<void> }) {
  const account = useAccount();
  const now = useNow(10_000);
  const { busy, error, run } = useAction();
  const { name, sessions, lastUsedAt, addresses, current } = device;
  const count = sessions.length;
  const endAll = (): void =>
    void run(async () => {
      for (const id of sessions) await account.endSession(id);
      await onEnded();
    });
  return (
    <li>
      <div className="entry">
        <span className="two-lines">
          <span className="strong">{name}</span>
          <span className="sub">
            {count === 1 ? 'One session' : `${formatNumber(count)} sessions`} ·{' '}
            {current ? 'in use' : `used ${formatAgo(now - lastUsedAt)}`} · {addresses.join(', ')}
          </span>
        </span>
        {current ? (
          <Badge variant="light" color="teal" radius="sm" className="kind">
            This one
          </Badge>
        ) : (
          <Button
            size="compact-sm"
            variant="default"
            loading={busy}
            aria-label={`Log out on ${name}`}
            onClick={endAll}
          >
            Log out there
          </Button>
        )}
      </div>
      <Fault error={error} />
    </li>
  );
}
