import { useState, type SyntheticEvent } from 'react';
import { Button, Text, TextInput } from '@mantine/core';
import { Awaited } from '../../components/awaited.tsx';
import { Card } from '../../components/card.tsx';
import { Confirm } from '../../components/confirm.tsx';
import { Fault } from '../../components/fault.tsx';
import { faultsByField, formatDay } from '../../format.ts';
import { useAction } from '../../hooks/use-action.ts';
import { useLoaded } from '../../hooks/use-loaded.ts';
import { useSession } from '../../hooks/use-session.tsx';
import { useAccount } from '../../hooks/use-step-up.tsx';
import type { Profile } from '../../model/account.ts';
import { EmailCard } from './email-card.tsx';

export function ProfileTab() {
  const account = useAccount();
  const loaded = useLoaded(account.profile);
  return (
    <Awaited of={loaded}>
      {(profile) => (
        <>
          <NameCard profile={profile} onChanged={loaded.reload} />
          <EmailCard email={profile.email} onChanged={loaded.reload} />
          <ClosingCard />
        </>
      )}
    </Awaited>
  );
}

function NameCard({ profile, onChanged }: { profile: Profile; onChanged: () => Promise<void> }) {
  const account = useAccount();
  const { renew } = useSession();
  const known = profile.display_name ?? '';
  const [name, setName] = useState(known);
  const [saved, setSaved] = useState(false);
  const { busy, error, run } = useAction();

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    void run(async () => {
      await account.rename(name.trim() === '' ? null : name.trim());
      await onChanged();
      setSaved(true);
      await renew();
    });
  }

  return (
    <Card title="You">
      <dl className="facts">
        <div>
          <dt>Username</dt>
          <dd>{profile.username}</dd>
        </div>
        <div>
          <dt>Role</dt>
          <dd>{profile.role}</dd>
        </div>
        <div>
          <dt>Here since</dt>
          <dd>{formatDay(profile.created_at)}</dd>
        </div>
      </dl>
      <form className="stack" onSubmit={submit}>
        <TextInput
          label="Display name"
          description="Your name as you write it. Others see it with your username beside it."
          autoComplete="name"
          maxLength={100}
          placeholder="Optional"
          value={name}
          error={error === undefined ? undefined : faultsByField(error)['display_name']}
          onChange={(event) => {
            setName(event.currentTarget.value);
            setSaved(false);
          }}
        />
        <Fault error={error} />
        <div className="buttons">
          <Button type="submit" loading={busy} disabled={name.trim() === known}>
            Save
          </Button>
          <span className="sub" role="status">
            {saved ? 'Saved.' : ''}
          </span>
        </div>
      </form>
    </Card>
  );
}

function ClosingCard() {
  const [asking, setAsking] = useState(false);
  return (
    <Card title="Close your account">
      <Text size="sm">
        You are logged out everywhere and cannot log in again, until an administrator opens the account again.
        The gateway deletes nothing.
      </Text>
      <div className="buttons">
        <Button variant="default" className="danger" onClick={() => setAsking(true)}>
          Close my account…
        </Button>
      </div>
      {asking ? <ClosingDialog onClose={() => setAsking(false)} /> : null}
    </Card>
  );
}

function ClosingDialog({ onClose }: { onClose: () => void }) {
  const account = useAccount();
  const { announce } = useSession();
  return (
    <Confirm
      title="Close your account?"
      deed="Close my account"
      back="Keep it"
      onConfirm={async () => {
        await account.deactivate();
        announce(CLOSED, { forget: true });
      }}
      onClose={onClose}
    >
      You will be logged out here and everywhere else, at once, and what this browser has received is deleted
      from it.
    </Confirm>
  );
}

const CLOSED =
  'Your account is closed, and what this browser had received is deleted. An administrator can open the account again.';
