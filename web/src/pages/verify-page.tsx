import { useState, type SyntheticEvent } from 'react';
import { Anchor, Button, Text, TextInput } from '@mantine/core';
import { Link, useLocation } from 'wouter';
import { AuthCard } from '../components/auth-card.tsx';
import { useAction } from '../hooks/use-action.ts';
import { useSession } from '../hooks/use-session.tsx';

const CODE_LENGTH = 6;

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

interface CodeInputProps {
  code: string;
  onChange: (code: string) => void;
}

/** Takes what is pasted out of a mail, with spaces or words around the digits. */
function CodeInput({ code, onChange }: CodeInputProps) {
  return (
    <TextInput
      label="Six-digit code"
      className="code-input"
      inputMode="numeric"
      autoComplete="one-time-code"
      autoFocus
      required
      value={code}
      onChange={(event) => onChange(event.currentTarget.value.replace(/\D/g, '').slice(0, CODE_LENGTH))}
    />
  );
}

/** On the gateway's own machine there is often no mail server: then the mail is printed and kept. */
function MailHint() {
  if (!/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(location.hostname)) return null;
  return (
    <Text size="sm" c="dimmed">
      No mail server set up? Then the gateway prints the mail on its console and keeps it at{' '}
      <Anchor href="/dev/mail" target="_blank" rel="noreferrer" inherit>
        /dev/mail
      </Anchor>
      .
    </Text>
  );
}
