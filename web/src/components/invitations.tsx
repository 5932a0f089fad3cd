import { useCallback, useMemo, useState, type SyntheticEvent } from 'react';
import { Button, NativeSelect, TextInput } from '@mantine/core';
import { faultsByField, formatDay } from '../format.ts';
import { useAction } from '../hooks/use-action.ts';
import { useLoaded } from '../hooks/use-loaded.ts';
import { useAsk } from '../hooks/use-step-up.tsx';
import { createInvitations, type Invitation } from '../model/invitations.ts';
import { Awaited } from './awaited.tsx';
import { Card } from './card.tsx';
import { Fault } from './fault.tsx';

/** To administrators: who is asked to come, and as what. */
export function Invitations() {
  const ask = useAsk();
  const invitations = useMemo(() => createInvitations(ask), [ask]);
  const load = useCallback(async () => {
    const [roles, list] = await Promise.all([invitations.roles(), invitations.list()]);
    return { roles, open: list.filter(({ state }) => state === 'open') };
  }, [invitations]);
  const loaded = useLoaded(load);
  return (
    <Card title="Invite somebody">
      <Awaited of={loaded}>
        {({ roles, open }) => (
          <>
            <InviteForm roles={roles} onInvite={invitations.invite} onInvited={loaded.reload} />
            {open.length === 0 ? null : (
              <ul className="entries" aria-label="Open invitations">
                {open.map((invitation) => (
                  <Entry
                    key={invitation.id}
                    invitation={invitation}
                    onWithdraw={invitations.withdraw}
                    onWithdrawn={loaded.reload}
                  />
                ))}
              </ul>
            )}
          </>
        )}
      </Awaited>
    </Card>
  );
}

interface InviteFormProps {
  roles: readonly string[];
  onInvite: (given: { email: string; role: string; partitions: string[] }) => Promise<unknown>;
  onInvited: () => Promise<void>;
}

function InviteForm({ roles, onInvite, onInvited }: InviteFormProps) {
  const [form, setForm] = useState({ email: '', role: 'member', partitions: '*:read' });
  const [told, setTold] = useState('');
  const { busy, error, run } = useAction();
  const faults = faultsByField(error);

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    setTold('');
    void run(async () => {
      const email = form.email.trim();
      const partitions = form.partitions.split(/[\s,]+/).filter((one) => one !== '');
      await onInvite({ email, role: form.role, partitions });
      setForm((old) => ({ ...old, email: '' }));
      setTold(`A link is on its way to ${email}.`);
      await onInvited();
    });
  }
  const bind = (field: keyof typeof form) => ({
    value: form[field],
    error: faults[field],
    onChange: (event: { currentTarget: { value: string } }) => {
      const { value } = event.currentTarget;
      setForm((old) => ({ ...old, [field]: value }));
    },
  });

  return (
    <form className="stack" onSubmit={submit}>
      {Object.keys(faults).length > 0 ? null : <Fault error={error} />}
      <TextInput label="E-mail" type="email" autoComplete="off" required {...bind('email')} />
      <NativeSelect label="Role" data={[...roles]} {...bind('role')} />
      <TextInput
        label="May see"
        description="*:read is every branch, branch-12:read that one alone; *:write may change as well. Empty: none."
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        {...bind('partitions')}
      />
      <div className="buttons">
        <Button type="submit" loading={busy}>
          Send the invitation
        </Button>
        <span className="sub" role="status">
          {told}
        </span>
      </div>
    </form>
  );
}

interface EntryProps {
  invitation: Invitation;
  onWithdraw: (id: string) => Promise<unknown>;
  onWithdrawn: () => Promise<void>;
}

function Entry({ invitation, onWithdraw, onWithdrawn }: EntryProps) {
  const { id, email, role, partitions, expiresAt } = invitation;
  const { busy, error, run } = useAction();
  return (
    <li>
      <div className="entry">
        <span className="two-lines">
          <span>{email}</span>
          <span className="sub">
            {[role, ...partitions].join(' · ')} · good until {formatDay(expiresAt)}
          </span>
        </span>
        <Button
          size="compact-sm"
          variant="default"
          loading={busy}
          aria-label={`Withdraw the invitation of ${email}`}
          onClick={() =>
            void run(async () => {
              await onWithdraw(id);
              await onWithdrawn();
            })
          }
        >
          Withdraw
        </Button>
      </div>
      <Fault error={error} />
    </li>
  );
}
