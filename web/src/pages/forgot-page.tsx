import { useState, type SyntheticEvent } from 'react';
import { Button, TextInput } from '@mantine/core';
import { Link, useLocation } from 'wouter';
import { AuthCard } from '../components/auth-card.tsx';
import { useAction } from '../hooks/use-action.ts';
import { useSession } from '../hooks/use-session.tsx';
import { post } from '../model/anonymous.ts';
import { tenantField } from '../model/tenant.ts';

export function ForgotPage() {
  const { pending, setPending } = useSession();
  const [, navigate] = useLocation();
  const [email, setEmail] = useState(pending.email);
  const { busy, error, run } = useAction();

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    void run(async () => {
      await post('/api/password/forgot', { email: email.trim(), ...tenantField() });
      setPending({ username: '', email: email.trim() });
      navigate('/reset');
    });
  }

  return (
    <AuthCard title="Forgot your password?" error={error} foot={<Link href="/login">Back to log in</Link>}>
      <form onSubmit={submit}>
        <TextInput
          label="E-mail"
          type="email"
          description="We send a code to the address of your account."
          autoComplete="email"
          required
          value={email}
          onChange={(event) => setEmail(event.currentTarget.value)}
        />
        <Button type="submit" loading={busy} fullWidth>
          Send a code
        </Button>
      </form>
    </AuthCard>
  );
}
