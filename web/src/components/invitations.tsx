import { useCallback, useMemo, useState, type SyntheticEvent } from 'react';
import { Button, NativeSelect, TextInput } from '@mantine/core';
import { faultsByField, formatDay } from '../format.ts';
import { useAction } from '../hooks/use-action.ts';
import { useAdministration } from '../hooks/use-administration.ts';
import { useLoaded } from '../hooks/use-loaded.ts';
import { useAsk } from '../hooks/use-step-up.tsx';
import { branchesOf } from '../model/administration.ts';
import { createInvitations, type Invitation } from '../model/invitations.ts';
import { Awaited } from './awaited.tsx';
import { Card } from './card.tsx';
import { Fault } from './fault.tsx';

/** To administrators: who is asked to come, and as what. */
export function Invitations() {
  const ask = useAsk();
  const invitations = useMemo(() => createInvitations(ask), [ask]);
  const administration = useAdministration();
  const [told, setTold] = useState('');
  const load = useCallback(async () => {
    const [roles, list, clients] = await Promise.all([
      invitations.roles(),
      invitations.list(),
      administration.clients(),
    ]);
    return { roles, branches: branchesOf(clients), open: list.filter(({ state }) => state === 'open') };
  }, [invitations, administration]);
  const loaded = useLoaded(load);
  return (
    <Card title="Invite somebody">
      <Awaited of={loaded}>
        {({ roles, branches, open }) => (
          <>
            <InviteForm
              {...{ roles, branches, told }}
              onTold={setTold}
              onInvite={invitations.invite}
              onInvited={loaded.reload}
            />
            {open.length === 0 ? null : (
              <ul className="entries" aria-label="Open invitations">
                {open.map((invitation) => (
                  <Entry
                    key={invitation.id}
                    invitation={invitation}
                    onWithdraw={invitations.withdraw}
                    onWithdrawn={async () => {
                      setTold('');
                      await loaded.reload();
                    }}
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
  branches: readonly string[];
  /** What came of the last invitation. */
  told: string;
  onTold: (told: string) => void;
  onInvite: (given: { email: string; role: string; partitions: string[] }) => Promise<unknown>;
  onInvited: () => Promise<void>;
}

function InviteForm({ roles, branches, told, onTold, onInvite, onInvited }: InviteFormProps) {
  const [form, setForm] = useState({ email: '', role: 'member', partitions: '*:read' });
  const { busy, error, run } = useAction();
  const faults = faultsByField(error);

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    onTold('');
    void run(async () => {
      const email = form.email.trim();
      const partitions = grantsIn(form.partitions);
      await onInvite({ email, role: form.role, partitions });
      setForm((old) => ({ ...old, email: '' }));
      onTold(`A link is on its way to ${email}.`);
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

  const choose = (branch: string): void =>
    setForm((old) => ({ ...old, partitions: withGrant(old.partitions, `${branch}:read`) }));

  return (
    <form className="stack" onSubmit={submit}>
      {Object.keys(faults).length > 0 ? null : <Fault error={error} />}
      <TextInput label="E-mail" type="email" autoComplete="off" required {...bind('email')} />
      <NativeSelect label="Role" data={[...roles]} {...bind('role')} />
      <MaySee branches={branches} {...bind('partitions')} onChoose={choose} />
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

interface MaySeeProps {
  branches: readonly string[];
  value: string;
  error: string | undefined;
  onChange: (event: { currentTarget: { value: string } }) => void;
  onChoose: (branch: string) => void;
}

function MaySee({ branches, onChoose, ...field }: MaySeeProps) {
  return (
    <>
      <TextInput
        label="May see"
        description="Branches, with commas between: branch-12:read may be seen, branch-12 changed too; *:read is every branch. Empty: none."
        autoComplete="off"
        autoCapitalize="none"
        spellCheck={false}
        {...field}
      />
      {branches.length === 0 ? null : (
        <div className="buttons">
          {branches.slice(0, MOST_OFFERED).map((branch) => (
            <Button
              key={branch}
              size="compact-xs"
              variant="default"
              aria-label={`Let them see ${branch}`}
              onClick={() => onChoose(branch)}
            >
              + {branch}
            </Button>
          ))}
        </div>
      )}
    </>
  );
}

const MOST_OFFERED = 12;

/** Every branch makes a single one needless: choosing one is to choose instead. */
function withGrant(typed: string, grant: string): string {
  const kept = grantsIn(typed).filter((one) => one !== '*:read' && one !== grant);
  return [...kept, grant].join(', ');
}

function grantsIn(typed: string): string[] {
  return typed.split(/[\s,]+/).filter((one) => one !== '');
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
