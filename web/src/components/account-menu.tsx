import { useState } from 'react';
import { Button, NativeSelect, TextInput } from '@mantine/core';
import { Link } from 'wouter';
import type { Status } from '../../../sdk/index.ts';
import { explain } from '../format.ts';
import { useDismiss } from '../hooks/use-dismiss.ts';
import { PersonName } from './person-name.tsx';
import { ThemeSwitch } from './theme-switch.tsx';

interface AccountMenuProps {
  username: string;
  displayName: string | undefined;
  /** Without it others see no status of ours, whatever it was last. */
  isConnected: boolean;
  status: Status;
  text: string;
  onStatus: (status: Status, text: string) => Promise<void>;
  onLogout: () => void;
}

export function AccountMenu(props: AccountMenuProps) {
  const { username, displayName, isConnected, status, text, onStatus, onLogout } = props;
  const ref = useDismiss();
  return (
    <details className="menu" ref={ref}>
      <summary aria-label={`Account of ${username}`}>
        <span className="dot" data-tone={isConnected ? status : 'offline'} aria-hidden="true" />
        <span className="account-name">{displayName ?? username}</span>
      </summary>
      <div className="menu-body account">
        <PersonName name={username} displayName={displayName} />
        <StatusForm key={`${status}/${text}`} status={status} text={text} onStatus={onStatus} />
        <ThemeSwitch />
        <Button
          component={Link}
          href="/account"
          variant="default"
          size="sm"
          onClick={() => {
            if (ref.current) ref.current.open = false;
          }}
        >
          Your account
        </Button>
        <Button variant="default" size="sm" onClick={onLogout}>
          Log out
        </Button>
      </div>
    </details>
  );
}

const STATUSES: { value: Status; label: string }[] = [
  { value: 'online', label: 'Online' },
  { value: 'away', label: 'Away' },
  { value: 'busy', label: 'Busy' },
  { value: 'offline', label: 'Appear offline' },
];

function StatusForm({ status, text, onStatus }: Pick<AccountMenuProps, 'status' | 'text' | 'onStatus'>) {
  const [note, setNote] = useState(text);
  const [error, setError] = useState<unknown>();

  function set(next: Status, nextText: string): void {
    setError(undefined);
    onStatus(next, nextText).catch(setError);
  }

  return (
    <form
      className="account"
      onSubmit={(event) => {
        event.preventDefault();
        set(status, note);
      }}
    >
      <NativeSelect
        label="My status"
        size="sm"
        data={STATUSES}
        value={status}
        onChange={(event) => set(event.currentTarget.value as Status, note)}
      />
      <TextInput
        label="What I am doing"
        size="sm"
        maxLength={140}
        placeholder="Optional"
        value={note}
        onChange={(event) => setNote(event.currentTarget.value)}
        onBlur={() => (note === text ? undefined : set(status, note))}
        error={error === undefined ? undefined : explain(error)}
      />
    </form>
  );
}
