import { useState, type SyntheticEvent } from 'react';
import { Button, PasswordInput, TextInput } from '@mantine/core';
import { Link, useLocation } from 'wouter';
import { AuthCard } from '../components/auth-card.tsx';
import { codeOf } from '../format.ts';
import { useAction } from '../hooks/use-action.ts';
import { NOTHING_PENDING, useSession } from '../hooks/use-session.tsx';

export function LoginPage() {
  const { session, phase, pending, setPending } = useSession();
  const [name, setName] = useState(pending.email || pending.username);
  const [password, setPassword] = useState('');
  const { busy, error, run } = useAction();

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    const who = name.includes('@') ? { email: name.trim() } : { username: name.trim() };
    void run(async () => {
      await session.login({ ...who, password });
      setPending(NOTHING_PENDING);
    });
  }

  return (
    <AuthCard
      title="Log in"
      notice={phase.name === 'guest' ? phase.notice : undefined}
      error={error}
      foot={
        <>
          New here? <Link href="/signup">Sign up</Link>
        </>
      }
    >
      <form onSubmit={submit}>
        <TextInput
          label="Username or e-mail"
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <PasswordInput
          label="Password"
          autoComplete="current-password"
          required
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        <Button type="submit" loading={busy} fullWidth>
          Log in
        </Button>
        {codeOf(error) === 'email_not_verified' ? <EnterCode name={name.trim()} /> : null}
      </form>
    </AuthCard>
  );
}

function EnterCode({ name }: { name: string }) {
  const { setPending } = useSession();
  const [, navigate] = useLocation();
  return (
    <Button
      variant="light"
      fullWidth
      onClick={() => {
        setPending(name.includes('@') ? { username: '', email: name } : { username: name, email: '' });
        navigate('/verify');
      }}
    >
      Enter the code
    </Button>
  );
}
