import { useState, type SyntheticEvent } from 'react';
import { Button } from '@mantine/core';
import { ApiError } from '../../../sdk/index.ts';
import { AuthCard } from '../components/auth-card.tsx';
import { FACTOR_ADVICE, FactorCode, isWhole } from '../components/factor-code.tsx';
import { useAction } from '../hooks/use-action.ts';
import { NOTHING_PENDING, useSession } from '../hooks/use-session.tsx';
import { post } from '../model/anonymous.ts';
import { passkeysWork, usePasskeyOf } from '../model/passkeys.ts';

/** The password was right, and is not enough. */
export interface StepDue {
  token: string;
  methods: readonly string[];
}

/** What a refused login still wants; undefined: it was refused. */
export function secondStepOf(error: unknown): StepDue | undefined {
  if (!(error instanceof ApiError) || error.code !== 'mfa_required') return undefined;
  const { mfa_token: token, methods } = error.extensions;
  if (typeof token !== 'string' || !Array.isArray(methods)) return undefined;
  return { token, methods: methods.filter((method) => typeof method === 'string') };
}

export function SecondStep({ due, onBack }: { due: StepDue; onBack: () => void }) {
  const { session, setPending } = useSession();
  const { token, methods } = due;
  const takesCodes = methods.includes('totp') || methods.includes('recovery');
  const [code, setCode] = useState('');
  const byCode = useAction();
  const byPasskey = useAction();

  async function finish(proof: Record<string, unknown>): Promise<void> {
    await session.loginBy('/api/login/mfa', { mfa_token: token, ...proof });
    setPending(NOTHING_PENDING);
  }
  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    void byCode.run(() => finish({ code }));
  }
  function startPasskey(): void {
    void byPasskey.run(async () => {
      const asked = await post('/api/login/mfa/passkey-options', { mfa_token: token });
      await finish({ passkey: await usePasskeyOf(asked) });
    });
  }

  return (
    <AuthCard
      title="One more step"
      error={byCode.error ?? byPasskey.error}
      advice={FACTOR_ADVICE}
      foot={
        <button type="button" className="link" onClick={onBack}>
          Back to log in
        </button>
      }
    >
      {methods.includes('passkey') && passkeysWork() ? (
        <Button
          variant={takesCodes ? 'default' : 'filled'}
          fullWidth
          loading={byPasskey.busy}
          onClick={startPasskey}
        >
          Use a passkey
        </Button>
      ) : null}
      {takesCodes ? (
        <form onSubmit={submit}>
          <FactorCode methods={methods} code={code} onChange={setCode} />
          <Button type="submit" fullWidth loading={byCode.busy} disabled={!isWhole(code)}>
            Log in
          </Button>
        </form>
      ) : null}
    </AuthCard>
  );
}
