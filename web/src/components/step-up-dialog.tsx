import { useCallback, useState, type SyntheticEvent } from 'react';
import { Button, PasswordInput, Text, Title } from '@mantine/core';
import { useAction } from '../hooks/use-action.ts';
import { useLoaded } from '../hooks/use-loaded.ts';
import { useSession } from '../hooks/use-session.tsx';
import { createAccount } from '../model/account.ts';
import { challengeOf, passkeysWork, usePasskeyOf } from '../model/passkeys.ts';
import { Awaited } from './awaited.tsx';
import { Dialog } from './dialog.tsx';
import { FACTOR_ADVICE, FactorCode, isWhole } from './factor-code.tsx';
import { Fault } from './fault.tsx';
import { WhoseName } from './new-password.tsx';

interface StepUpDialogProps {
  /** What counts as a proof; left out: the password and whatever else the account has. */
  methods: readonly string[] | undefined;
  /** `proved`: what was begun may be done. */
  onClose: (proved: boolean) => void;
}

/** Who is there: asked again before what somebody at an open page must not do. */
export function StepUpDialog({ methods, onClose }: StepUpDialogProps) {
  const { session } = useSession();
  const load = useCallback(async () => {
    if (methods) return methods;
    const ask: typeof session.request = (method, path, body) => session.request(method, path, body);
    const { totp, passkeys } = await createAccount(ask).factors();
    return ['password', ...(totp ? ['totp'] : []), ...(passkeys > 0 ? ['passkey'] : [])];
  }, [session, methods]);
  const known = useLoaded(load);
  return (
    <Dialog label="Is it you?" size="small" onClose={() => onClose(false)}>
      <Title order={2} size="h4">
        Is it you?
      </Title>
      <Text size="sm" c="dimmed">
        This is important enough to ask again.
      </Text>
      <Awaited of={known}>{(list) => <Proofs methods={list} onProved={() => onClose(true)} />}</Awaited>
    </Dialog>
  );
}

const PASSWORD_ADVICE = { ...FACTOR_ADVICE, invalid_credentials: 'That is not your password.' };

function Proofs({ methods, onProved }: { methods: readonly string[]; onProved: () => void }) {
  const { session } = useSession();
  const takesPassword = methods.includes('password');
  const takesCode = methods.includes('totp') || methods.includes('recovery');
  const [byCode, setByCode] = useState(!takesPassword);
  const typed = useAction();
  const passkey = useAction();

  async function prove(proof: Record<string, unknown>): Promise<void> {
    await session.request('POST', '/api/reauthenticate', proof);
    onProved();
  }
  function startPasskey(): void {
    void passkey.run(async () => {
      const asked = await session.request('POST', '/api/reauthenticate/options', {});
      await prove({ challenge_id: challengeOf(asked), response: await usePasskeyOf(asked) });
    });
  }

  return (
    <>
      <Fault error={typed.error} advice={PASSWORD_ADVICE} />
      <Fault error={passkey.error} advice={FACTOR_ADVICE} />
      {takesPassword || takesCode ? (
        <Typed
          key={String(byCode)}
          methods={byCode ? methods : undefined}
          busy={typed.busy}
          onProof={(proof) => void typed.run(() => prove(proof))}
        />
      ) : null}
      {methods.includes('passkey') && passkeysWork() ? (
        <Button variant="default" fullWidth loading={passkey.busy} onClick={startPasskey}>
          Use a passkey
        </Button>
      ) : null}
      {takesPassword && takesCode ? (
        <button type="button" className="link aside" onClick={() => setByCode(!byCode)}>
          {byCode ? 'Use your password' : 'Use a code of your app'}
        </button>
      ) : null}
    </>
  );
}

interface TypedProps {
  /** Of the codes; undefined: the password. */
  methods: readonly string[] | undefined;
  busy: boolean;
  onProof: (proof: Record<string, string>) => void;
}

function Typed({ methods, busy, onProof }: TypedProps) {
  const { phase } = useSession();
  const [text, setText] = useState('');

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    onProof(methods ? { code: text } : { password: text });
  }

  return (
    <form className="stack" onSubmit={submit}>
      <WhoseName username={phase.name === 'user' ? phase.user.username : ''} />
      {methods ? (
        <FactorCode methods={methods} code={text} onChange={setText} />
      ) : (
        <PasswordInput
          label="Password"
          autoComplete="current-password"
          autoFocus
          required
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
        />
      )}
      <Button type="submit" fullWidth loading={busy} disabled={methods !== undefined && !isWhole(text)}>
        Go on
      </Button>
    </form>
  );
}
