import { useState, type SyntheticEvent } from 'react';
import { Button, TextInput } from '@mantine/core';
import { Link, useLocation } from 'wouter';
import { AuthCard } from '../components/auth-card.tsx';
import { CodeInput, CODE_LENGTH } from '../components/code-input.tsx';
import { MailHint } from '../components/mail-hint.tsx';
import { NewPassword, WhoseName } from '../components/new-password.tsx';
import { faultsByField } from '../format.ts';
import { useAction } from '../hooks/use-action.ts';
import { useSession } from '../hooks/use-session.tsx';
import { post } from '../model/anonymous.ts';
import { tenantField } from '../model/tenant.ts';

/** The code that was mailed, and a new password. */
export function ResetPage() {
  const { pending, announce } = useSession();
  const [, navigate] = useLocation();
  const [email, setEmail] = useState(pending.email);
  const [code, setCode] = useState('');
  const [password, setPassword] = useState('');
  const { busy, error, run } = useAction();

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    void run(async () => {
      await post('/api/password/reset', { email: email.trim(), code, password, ...tenantField() });
      announce('Your password is changed, and you were logged out everywhere. Log in with the new one.');
      navigate('/login');
    });
  }

  return (
    <AuthCard
      title="Choose a new password"
      notice={
        pending.email === ''
          ? undefined
          : `If ${pending.email} has an account here, a six-digit code is on its way to it.`
      }
      error={error}
      foot={
        <>
          No mail? <Link href="/forgot">Send another code</Link>
        </>
      }
    >
      <form onSubmit={submit}>
        {pending.email === '' ? (
          <TextInput
            label="E-mail"
            type="email"
            autoComplete="email"
            required
            value={email}
            onChange={(event) => setEmail(event.currentTarget.value)}
          />
        ) : (
          <WhoseName username={email} />
        )}
        <CodeInput code={code} onChange={setCode} />
        <NewPassword
          label="New password"
          value={password}
          error={faultsByField(error)['password']}
          onChange={setPassword}
        />
        <Button type="submit" loading={busy} fullWidth disabled={code.length < CODE_LENGTH}>
          Change the password
        </Button>
      </form>
      <MailHint />
    </AuthCard>
  );
}
