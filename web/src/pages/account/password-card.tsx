import { useState, type SyntheticEvent } from 'react';
import { Button, PasswordInput } from '@mantine/core';
import { Card } from '../../components/card.tsx';
import { Fault } from '../../components/fault.tsx';
import { NewPassword, WhoseName } from '../../components/new-password.tsx';
import { codeOf, faultsByField } from '../../format.ts';
import { useAction } from '../../hooks/use-action.ts';
import { useSession } from '../../hooks/use-session.tsx';
import { useAccount } from '../../hooks/use-step-up.tsx';

const NOTHING = { current_password: '', new_password: '' };

export function PasswordCard() {
  const account = useAccount();
  const { phase } = useSession();
  const [form, setForm] = useState(NOTHING);
  const [changed, setChanged] = useState(false);
  const { busy, error, run } = useAction();
  const wrong = codeOf(error) === 'invalid_credentials';

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    setChanged(false);
    void run(async () => {
      await account.changePassword(form);
      setForm(NOTHING);
      setChanged(true);
    });
  }

  return (
    <Card title="Password">
      <form className="stack" onSubmit={submit}>
        <WhoseName username={phase.name === 'user' ? phase.user.username : ''} />
        <PasswordInput
          label="Current password"
          autoComplete="current-password"
          required
          value={form.current_password}
          error={wrong ? 'That is not your password.' : undefined}
          onChange={(event) => {
            const { value } = event.currentTarget;
            setForm((old) => ({ ...old, current_password: value }));
          }}
        />
        <NewPassword
          label="New password"
          value={form.new_password}
          error={faultsByField(error)['new_password']}
          onChange={(password) => setForm((old) => ({ ...old, new_password: password }))}
        />
        {wrong ? null : <Fault error={error} />}
        <div className="buttons">
          <Button type="submit" loading={busy}>
            Change the password
          </Button>
          <span className="sub" role="status">
            {changed ? 'Changed. Your other sessions have ended.' : ''}
          </span>
        </div>
      </form>
    </Card>
  );
}
