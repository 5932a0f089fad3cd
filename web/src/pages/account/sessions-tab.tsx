import { useState } from 'react';
import { Badge, Button, Text } from '@mantine/core';
import { Awaited } from '../../components/awaited.tsx';
import { Card } from '../../components/card.tsx';
import { Fault } from '../../components/fault.tsx';
import { formatAgo, formatDay, formatNumber, formatTime } from '../../format.ts';
import { useAction } from '../../hooks/use-action.ts';
import { useLoaded } from '../../hooks/use-loaded.ts';
import { useNow } from '../../hooks/use-now.ts';
import { useAccount } from '../../hooks/use-step-up.tsx';
import type { SessionEntry } from '../../model/account.ts';
import { mayWords } from '../../model/scopes.ts';
import { deviceName } from '../../model/user-agent.ts';

/** Where this person is logged in. */
export function SessionsTab() {
  const account = useAccount();
  const sessions = useLoaded(account.sessions);
  const { busy, error, run } = useAction();
  const [told, setTold] = useState('');

  const endOthers = (): void =>
    void run(async () => {
      const count = await account.endOthers();
      await sessions.reload();
      setTold(count === 1 ? 'One session has ended.' : `${formatNumber(count)} sessions have ended.`);
    });

  return (
    <Card title="Where you are logged in">
      <Text size="sm">
        End what you do not know, and change your password then. Who is logged out there, is logged out at
        once.
      </Text>
      <Fault error={error} />
      <Awaited of={sessions}>
        {(list) => (
          <>
            <ul className="entries">
              {[...list].sort(thisOneFirst).map((entry) => (
                <Entry key={entry.id} entry={entry} onEnded={sessions.reload} />
              ))}
            </ul>
            <div className="buttons">
              {list.length > 1 ? (
                <Button variant="default" className="danger" loading={busy} onClick={endOthers}>
                  End all others
                </Button>
              ) : null}
              <span className="sub" role="status">
                {told}
              </span>
            </div>
          </>
        )}
      </Awaited>
    </Card>
  );
}

const thisOneFirst = (a: SessionEntry, b: SessionEntry): number =>
  Number(b.current) - Number(a.current) || Date.parse(b.last_used_at) - Date.parse(a.last_used_at);

function Entry({ entry, onEnded }: { entry: SessionEntry; onEnded: () => Promise<void> }) {
  const account = useAccount();
  const now = useNow(10_000);
  const { busy, error, run } = useAction();
  const name = deviceName(entry.user_agent ?? '', entry.app ?? '');
  const place = entry.ip ?? 'an unknown address';
  return (
    <li>
      <div className="entry">
        <span className="two-lines">
          <span className="strong">{name}</span>
          <span className="sub">
            {place} · {entry.current ? 'in use' : `used ${formatAgo(now - Date.parse(entry.last_used_at))}`}
            {entry.sockets > 0 ? ` · ${connections(entry.sockets)}` : ''}
          </span>
          <span className="sub">
            Since {formatDay(entry.created_at)}, {formatTime(entry.created_at)}
            {proofs(entry.amr)}
          </span>
          <span className="sub">May {mayWords(entry.scopes)}</span>
        </span>
        {entry.current ? (
          <Badge variant="light" color="teal" radius="sm" className="kind">
            This one
          </Badge>
        ) : (
          <Button
            size="compact-sm"
            variant="default"
            loading={busy}
            aria-label={`End ${name} from ${place}`}
            onClick={() =>
              void run(async () => {
                await account.endSession(entry.id);
                await onEnded();
              })
            }
          >
            End
          </Button>
        )}
      </div>
      <Fault error={error} />
    </li>
  );
}

function connections(count: number): string {
  return count === 1 ? '1 open connection' : `${formatNumber(count)} open connections`;
}

/** In the words of RFC 8176, and `rcv` for a recovery code. */
const PROOFS: Record<string, string> = {
  pwd: 'password',
  otp: 'code of the app',
  rcv: 'recovery code',
  hwk: 'passkey',
};

function proofs(amr: readonly string[]): string {
  const words = [...new Set(amr.map((method) => PROOFS[method]))].filter((word) => word !== undefined);
  return words.length === 0 ? '' : ` · with ${words.join(' and ')}`;
}
