import { Text } from '@mantine/core';
import { formatDay, formatNumber } from '../format.ts';
import { useAdministration } from '../hooks/use-administration.ts';
import { useLoaded } from '../hooks/use-loaded.ts';
import type { AnonymousDevice } from '../model/administration.ts';
import { deviceName } from '../model/user-agent.ts';
import { Awaited } from './awaited.tsx';
import { Card } from './card.tsx';
import { Switchable } from './switchable.tsx';

/** To administrators: installations that nobody has logged in to. */
export function AnonymousDevices() {
  const administration = useAdministration();
  const loaded = useLoaded(administration.devices);
  return (
    <Card
      title="Anonymous devices"
      state={loaded.value ? <span className="sub">{formatNumber(loaded.value.total)}</span> : null}
    >
      <Text size="sm">
        Installations that registered themselves, without anybody logging in. They see what is granted to
        them.
      </Text>
      <Awaited of={loaded}>
        {({ devices, total }) => (
          <>
            <ul className="entries">
              {devices.length === 0 ? <li className="note">None has registered.</li> : null}
              {devices.map((device) => (
                <Switchable
                  key={device.deviceId}
                  name={titleOf(device)}
                  disabled={!device.isActive}
                  warning="Its sessions and its connections end at once, until you enable it."
                  onSwitch={(off) => administration.switchDevice(device.deviceId, off)}
                  onSwitched={loaded.reload}
                >
                  <span className="strong">{titleOf(device)}</span>
                  <span className="sub">{factsOf(device).join(' · ')}</span>
                </Switchable>
              ))}
            </ul>
            {total > devices.length ? (
              <p className="note">The newest {formatNumber(devices.length)} are shown.</p>
            ) : null}
          </>
        )}
      </Awaited>
    </Card>
  );
}

const titleOf = ({ name, platform, userAgent, deviceId }: AnonymousDevice): string =>
  name ?? platform ?? (userAgent ? deviceName(userAgent) : `device ${deviceId.slice(0, 8)}`);

function factsOf({ createdAt, lastSeen, activeSessions, partitions }: AnonymousDevice): string[] {
  return [
    `since ${formatDay(createdAt)}`,
    lastSeen ? `seen ${formatDay(lastSeen)}` : 'never seen again',
    activeSessions === 1 ? 'one session' : `${formatNumber(activeSessions)} sessions`,
    ...(partitions.length === 0 ? ['sees no branch'] : partitions),
  ];
}
