import { useCallback, useState, type SyntheticEvent } from 'react';
import { Button, Text, TextInput } from '@mantine/core';
import { Link, useLocation } from 'wouter';
import { z } from 'zod';
import { AuthCard } from '../components/auth-card.tsx';
import { NewPassword } from '../components/new-password.tsx';
import { faultsByField } from '../format.ts';
import { useAction } from '../hooks/use-action.ts';
import { useLoaded } from '../hooks/use-loaded.ts';
import { useSession } from '../hooks/use-session.tsx';
import { post } from '../model/anonymous.ts';
import { broughtTo } from '../model/arrival.ts';
import { knownTenant, noteTenant } from '../model/tenant.ts';

const invitation = z.object({ email: z.string(), role: z.string(), tenant: z.string(), tenant_id: z.int() });
type Invitation = z.infer<typeof invitation>;

/** Where the link of an invitation leads. */
export function InvitePage() {
  const [token] = useState(() => broughtTo('invite'));
  const look = useCallback(
    async () => (token === '' ? null : invitation.parse(await post('/api/invitations/look', { token }))),
    [token],
  );
  const { value, error } = useLoaded(look);
  if (value) return <Accept token={token} invitation={value} />;
  return (
    <AuthCard title="Your invitation" error={error} foot={<Link href="/login">To log in</Link>}>
      {value === null ? (
        <Text>Open the link in the mail again, whole: it carries your invitation.</Text>
      ) : null}
      {value === undefined && error === undefined ? <Text role="status">Looking at it…</Text> : null}
    </AuthCard>
  );
}

function Accept({ token, invitation }: { token: string; invitation: Invitation }) {
  const { email, role, tenant, tenant_id: tenantId } = invitation;
  const { session, announce, setPending } = useSession();
  const [, navigate] = useLocation();
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const { busy, error, run } = useAction();
  const faults = faultsByField(error);

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    void run(async () => {
      const name = username.trim();
      await post('/api/invitations/accept', { token, username: name, password });
      noteTenant(tenantId);
      try {
        await session.login({ username: name, password, tenantId: knownTenant() });
        navigate('/', { replace: true });
      } catch {
        // The account is made: trying to join once more would say that the invitation is used.
        setPending({ username: name, email: '' });
        announce('Your account is made. Log in to go on.');
        navigate('/login', { replace: true });
      }
    });
  }

  return (
    <AuthCard
      title="Your invitation"
      error={error}
      foot={
        <>
          Have an account? <Link href="/login">Log in</Link>
        </>
      }
    >
      <Text size="sm">
        You are invited to <span className="strong">{tenant}</span> as <span className="strong">{role}</span>,
        with the address <span className="strong break">{email}</span>. Choose a name and a password.
      </Text>
      <form onSubmit={submit}>
        <TextInput
          label="Username"
          description="What others see."
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          value={username}
          error={faults['username']}
          onChange={(event) => setUsername(event.currentTarget.value)}
        />
        <NewPassword value={password} error={faults['password']} onChange={setPassword} />
        <Button type="submit" loading={busy} fullWidth>
          Join
        </Button>
      </form>
    </AuthCard>
  );
}
