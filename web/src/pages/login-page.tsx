import { useState, type SyntheticEvent } from 'react';
import { Button, PasswordInput, TextInput } from '@mantine/core';
import { Link, useLocation } from 'wouter';
import { AuthCard } from '../components/auth-card.tsx';
import { FACTOR_ADVICE } from '../components/factor-code.tsx';
import { codeOf } from '../format.ts';
import { useAction } from '../hooks/use-action.ts';
import { useFirst } from '../hooks/use-first.ts';
import { usePasskeyAutofill } from '../hooks/use-passkey-autofill.ts';
import { NOTHING_PENDING, useSession } from '../hooks/use-session.tsx';
import { post } from '../model/anonymous.ts';
import { challengeOf, passkeysWork, usePasskeyOf } from '../model/passkeys.ts';
import { knownTenant, noteTenant, parseTenant, tenantField } from '../model/tenant.ts';
import { SecondStep, secondStepOf, type StepDue } from './second-step.tsx';

/** `why`: what the page behind the login is for. */
export function LoginPage({ why }: { why?: string }) {
  const [due, setDue] = useState<StepDue>();
  return due ? (
    <SecondStep due={due} onBack={() => setDue(undefined)} />
  ) : (
    <FirstStep why={why} onDue={setDue} />
  );
}

function FirstStep({ why, onDue }: { why: string | undefined; onDue: (due: StepDue) => void }) {
  const { session, phase, pending, setPending } = useSession();
  const [form, setForm] = useState({ name: pending.email || pending.username, password: '' });
  const [tenant, setTenant] = useState(knownTenant);
  const [passkeyError, setPasskeyError] = useState<unknown>();
  const { busy, error, run } = useAction();
  const first = useFirst();

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    const name = form.name.trim();
    const who = name.includes('@') ? { email: name } : { username: name };
    setPasskeyError(undefined);
    void run(async () => {
      try {
        await session.login({ ...who, password: form.password, tenantId: tenant });
        setPending(NOTHING_PENDING);
      } catch (reason) {
        const due = secondStepOf(reason);
        if (!due) throw reason;
        onDue(due);
      }
    });
  }

  return (
    <AuthCard
      title="Log in"
      notice={(phase.name === 'guest' ? phase.notice : undefined) ?? why ?? (first ? FIRST : undefined)}
      error={passkeyError ?? error}
      advice={passkeyError === undefined ? {} : FACTOR_ADVICE}
      foot={
        <>
          New here? <Link href="/signup">Sign up</Link>
        </>
      }
    >
      <form onSubmit={submit}>
        <NameAndPassword form={form} onChange={setForm} />
        <Organisation
          onChange={(chosen) => {
            noteTenant(chosen);
            setTenant(chosen);
          }}
        />
        <Button type="submit" loading={busy} fullWidth>
          Log in
        </Button>
        {codeOf(error) === 'email_not_verified' ? <EnterCode name={form.name.trim()} /> : null}
        <PasskeyLogin tenant={tenant} onError={setPasskeyError} />
      </form>
      <Link className="aside" href="/forgot">
        Forgot your password?
      </Link>
    </AuthCard>
  );
}

const FIRST =
  'Nobody has an account here yet. Sign up below: the first account becomes the owner, who lets everybody else in.';

interface Form {
  name: string;
  password: string;
}

function NameAndPassword({ form, onChange }: { form: Form; onChange: (form: Form) => void }) {
  return (
    <>
      <TextInput
        label="Username or e-mail"
        autoComplete="username webauthn"
        autoCapitalize="none"
        spellCheck={false}
        required
        value={form.name}
        onChange={(event) => onChange({ ...form, name: event.currentTarget.value })}
      />
      <PasswordInput
        label="Password"
        autoComplete="current-password"
        required
        value={form.password}
        onChange={(event) => onChange({ ...form, password: event.currentTarget.value })}
      />
    </>
  );
}

/** For whoever was invited into an organisation of its own; nobody else is asked. */
function Organisation({ onChange }: { onChange: (tenant: number | undefined) => void }) {
  const [typed, setTyped] = useState(() => knownTenant()?.toString());
  if (typed === undefined) {
    return (
      <button type="button" className="link aside" onClick={() => setTyped('')}>
        In another organisation?
      </button>
    );
  }
  return (
    <TextInput
      label="Organisation"
      description="Its number is in the mail that invited you. Empty: the one where people sign up."
      inputMode="numeric"
      autoComplete="off"
      value={typed}
      error={typed === '' || parseTenant(typed) !== undefined ? undefined : 'A whole number above 0.'}
      onChange={(event) => {
        const text = event.currentTarget.value.trim();
        setTyped(text);
        onChange(parseTenant(text));
      }}
    />
  );
}

/** A passkey is both factors: what somebody has, and the check of who holds it. */
function PasskeyLogin({
  tenant,
  onError,
}: {
  tenant: number | undefined;
  onError: (error: unknown) => void;
}) {
  const { session } = useSession();
  const { busy, run } = useAction();

  async function enter({ asked, response }: { asked: unknown; response: unknown }): Promise<void> {
    const signed = { challenge_id: challengeOf(asked), response };
    await session.loginBy('/api/passkeys/login', { ...signed, ...tenantField() });
  }
  const attempt = (work: () => Promise<void>): void =>
    void run(async () => {
      onError(undefined);
      await work().catch(onError);
    });
  usePasskeyAutofill(tenant, (chosen) => attempt(() => enter(chosen)));
  if (!passkeysWork()) return null;
  return (
    <Button
      variant="default"
      fullWidth
      loading={busy}
      onClick={() =>
        attempt(async () => {
          const asked = await post('/api/passkeys/login-options', tenantField());
          await enter({ asked, response: await usePasskeyOf(asked) });
        })
      }
    >
      Log in with a passkey
    </Button>
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
