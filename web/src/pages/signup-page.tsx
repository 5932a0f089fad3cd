import { useState, type SyntheticEvent } from 'react';
import { Button, TextInput } from '@mantine/core';
import { Link, useLocation } from 'wouter';
import { AuthCard } from '../components/auth-card.tsx';
import { NewPassword } from '../components/new-password.tsx';
import { faultsByField } from '../format.ts';
import { useAction } from '../hooks/use-action.ts';
import { useSession } from '../hooks/use-session.tsx';
import { noteTenant } from '../model/tenant.ts';

export function SignupPage() {
  const { session, setPending } = useSession();
  const [, navigate] = useLocation();
  const [form, setForm] = useState({ username: '', email: '', password: '' });
  const { busy, error, run } = useAction();
  const faults = faultsByField(error);

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    void run(async () => {
      const pending = { username: form.username.trim(), email: form.email.trim() };
      await session.signup({ ...form, ...pending });
      // the account is where logins look by themselves
      noteTenant(undefined);
      setPending(pending);
      navigate('/verify');
    });
  }

  const bind = (field: keyof typeof form) => ({
    required: true,
    value: form[field],
    error: faults[field],
    onChange: (event: { currentTarget: HTMLInputElement }) => {
      const { value } = event.currentTarget;
      setForm((old) => ({ ...old, [field]: value }));
    },
  });

  return (
    <AuthCard
      title="Sign up"
      error={error}
      foot={
        <>
          Have an account? <Link href="/login">Log in</Link>
        </>
      }
    >
      <form onSubmit={submit}>
        <TextInput
          label="Username"
          description="What others see."
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          {...bind('username')}
        />
        <TextInput label="E-mail" type="email" autoComplete="email" {...bind('email')} />
        <NewPassword
          value={form.password}
          error={faults['password']}
          onChange={(password) => setForm((old) => ({ ...old, password }))}
        />
        <Button type="submit" loading={busy} fullWidth>
          Sign up
        </Button>
      </form>
    </AuthCard>
  );
}
