import { useState, type SyntheticEvent } from 'react';
import { Button, TextInput } from '@mantine/core';
import { Link, useLocation } from 'wouter';
import { AuthCard } from '../components/auth-card.tsx';
import { CODE_LENGTH, CodeInput } from '../components/code-input.tsx';
import { MailHint } from '../components/mail-hint.tsx';
import { useAction } from '../hooks/use-action.ts';
import { useSession } from '../hooks/use-session.tsx';

export function VerifyPage() {
  const { session, announce, pending, setPending } = useSession();
  const [, navigate] = useLocation();
  const [username, setUsername] = useState(pending.username);
  const [email, setEmail] = useState(pending.email);
  const [code, setCode] = useState('');
  const [notice, setNotice] = useState(
    pending.email === ''
      ? undefined
      : `We sent a six-digit code to ${pending.email}. It is valid for 24 hours.`,
  );
  const verify = useAction();
  const resend = useAction();

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    void verify.run(async () => {
      // the code counts for this sign-up only, whatever others signed up with the same address
      await session.verifyEmail({ username: username.trim(), code });
      setPending({ username: username.trim(), email: email.trim() });
      announce('Your address is verified. Log in to start.');
      navigate('/login');
    });
  }

  function sendAgain(): void {
    void resend.run(async () => {
      await session.resendVerification({ email: email.trim() });
      setCode('');
      setNotice(`A new code is on its way to ${email.trim()}. Earlier codes no longer work.`);
    });
  }

  return (
    <AuthCard
      title="Verify your e-mail"
      notice={notice}
      error={verify.error ?? resend.error}
      foot={<Link href="/login">Back to log in</Link>}
    >
      <form onSubmit={submit}>
        {pending.username === '' ? <UsernameInput username={username} onChange={setUsername} /> : null}
        <CodeInput code={code} onChange={setCode} />
        <Button type="submit" loading={verify.busy} fullWidth disabled={code.length < CODE_LENGTH}>
          Verify
        </Button>
        {pending.email === '' ? <EmailInput email={email} onChange={setEmail} /> : null}
        <Button
          variant="subtle"
          fullWidth
          loading={resend.busy}
          disabled={email.trim() === ''}
          onClick={sendAgain}
        >
          Send a new code
        </Button>
      </form>
      <MailHint />
    </AuthCard>
  );
}

function UsernameInput({ username, onChange }: { username: string; onChange: (username: string) => void }) {
  return (
    <TextInput
      label="Username"
      description="The one you signed up with; the mail names it."
      autoComplete="username"
      autoCapitalize="none"
      spellCheck={false}
      required
      value={username}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

/** Only for a new code, which goes to the address. */
function EmailInput({ email, onChange }: { email: string; onChange: (email: string) => void }) {
  return (
    <TextInput
      label="E-mail"
      type="email"
      description="For a new code."
      autoComplete="email"
      value={email}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
