import { useState, type SyntheticEvent } from 'react';
import { Button, Text, TextInput } from '@mantine/core';
import { Awaited } from '../../components/awaited.tsx';
import { Card } from '../../components/card.tsx';
import { Fault } from '../../components/fault.tsx';
import { formatAgo, formatDay } from '../../format.ts';
import { useAction } from '../../hooks/use-action.ts';
import { useLoaded } from '../../hooks/use-loaded.ts';
import { useNow } from '../../hooks/use-now.ts';
import { useAccount } from '../../hooks/use-step-up.tsx';
import type { Passkey } from '../../model/account.ts';
import { makePasskey, namedAddress, passkeysWork } from '../../model/passkeys.ts';
import { deviceName } from '../../model/user-agent.ts';

interface PasskeysCardProps {
  /** With recovery codes, when they were made. */
  onChanged: (codes?: readonly string[]) => Promise<void>;
}

export function PasskeysCard({ onChanged }: PasskeysCardProps) {
  const account = useAccount();
  const passkeys = useLoaded(account.passkeys);
  const { busy, error, run } = useAction();

  const changed = async (codes?: readonly string[]): Promise<void> => {
    await Promise.all([passkeys.reload(), onChanged(codes)]);
  };
  const add = (): void =>
    void run(async () => {
      const response = await makePasskey(await account.passkeyOptions());
      await changed(await account.addPasskey({ response, name: deviceName(navigator.userAgent) }));
    });

  return (
    <Card title="Passkeys">
      <Text size="sm">
        Your device or key chain logs you in: by fingerprint, face or PIN, without a password. With one, your
        password alone lets nobody in.
      </Text>
      <Awaited of={passkeys}>
        {(list) =>
          list.length === 0 ? null : (
            <ul className="entries">
              {list.map((passkey) => (
                <Entry key={passkey.id} passkey={passkey} onChanged={changed} />
              ))}
            </ul>
          )
        }
      </Awaited>
      <Fault error={error} />
      {passkeysWork() ? (
        <div className="buttons">
          <Button variant="default" loading={busy} onClick={add}>
            Add a passkey
          </Button>
        </div>
      ) : (
        <NotHere />
      )}
    </Card>
  );
}

function NotHere() {
  const named = namedAddress();
  return (
    <Text size="sm" c="dimmed">
      {named === undefined ? (
        'Browsers offer passkeys over HTTPS and under a name, not under a bare address. Ask whoever runs the gateway.'
      ) : (
        <>
          Passkeys need a name in the address: open <a href={named}>{named}</a> for them.
        </>
      )}
    </Text>
  );
}

function Entry({ passkey, onChanged }: { passkey: Passkey; onChanged: () => Promise<void> }) {
  const account = useAccount();
  const [step, setStep] = useState<'shown' | 'renaming' | 'removing'>('shown');
  const now = useNow(60_000);
  const { busy, error, run } = useAction();
  const { id, name, created_at: created, last_used_at: used, backed_up: synced } = passkey;

  const act = (work: () => Promise<unknown>): void =>
    void run(async () => {
      await work();
      await onChanged();
      setStep('shown');
    });

  if (step === 'renaming')
    return (
      <li>
        <RenameForm
          name={name}
          busy={busy}
          onSave={(next) => act(() => account.renamePasskey(id, next))}
          onBack={() => setStep('shown')}
        />
        <Fault error={error} />
      </li>
    );
  return (
    <li>
      <div className="entry">
        <span className="two-lines">
          <span className="strong">{name}</span>
          <span className="sub">
            {synced ? 'In a key chain' : 'On one device'} · added {formatDay(created)}
          </span>
          <span className="sub">
            {used === null || used === undefined
              ? 'Not used yet'
              : `Used ${formatAgo(now - Date.parse(used))}`}
          </span>
        </span>
        <span className="entry-acts">
          {step === 'removing' ? (
            <>
              <Act name="Remove it" danger busy={busy} onClick={() => act(() => account.removePasskey(id))} />
              <Act name="Keep it" onClick={() => setStep('shown')} />
            </>
          ) : (
            <>
              <Act name="Rename" of={name} onClick={() => setStep('renaming')} />
              <Act name="Remove" of={name} onClick={() => setStep('removing')} />
            </>
          )}
        </span>
      </div>
      <Fault error={error} />
    </li>
  );
}

interface ActProps {
  name: string;
  /** For screen readers, which meet the button alone. */
  of?: string;
  danger?: boolean;
  busy?: boolean;
  onClick: () => void;
}

function Act({ name, of, danger = false, busy = false, onClick }: ActProps) {
  return (
    <Button
      size="compact-sm"
      {...(danger ? { color: 'red' } : { variant: 'default' })}
      {...(of === undefined ? {} : { 'aria-label': `${name} ${of}` })}
      loading={busy}
      onClick={onClick}
    >
      {name}
    </Button>
  );
}

interface RenameFormProps {
  name: string;
  busy: boolean;
  onSave: (name: string) => void;
  onBack: () => void;
}

function RenameForm({ name, busy, onSave, onBack }: RenameFormProps) {
  const [next, setNext] = useState(name);
  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    onSave(next.trim());
  }
  return (
    <form className="entry" onSubmit={submit}>
      <TextInput
        className="entry-name"
        aria-label="Name of the passkey"
        size="sm"
        maxLength={100}
        autoFocus
        required
        value={next}
        onChange={(event) => setNext(event.currentTarget.value)}
      />
      <span className="entry-acts">
        <Button size="compact-sm" type="submit" loading={busy}>
          Save
        </Button>
        <Button size="compact-sm" variant="default" onClick={onBack}>
          Cancel
        </Button>
      </span>
    </form>
  );
}
