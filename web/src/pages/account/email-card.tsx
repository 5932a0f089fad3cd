import { useState, type SyntheticEvent } from 'react';
import { Button, Text, TextInput } from '@mantine/core';
import { Card } from '../../components/card.tsx';
import { CodeInput, CODE_LENGTH } from '../../components/code-input.tsx';
import { Fault } from '../../components/fault.tsx';
import { MailHint } from '../../components/mail-hint.tsx';
import { faultsByField } from '../../format.ts';
import { useAction } from '../../hooks/use-action.ts';
import { useAccount } from '../../hooks/use-step-up.tsx';

interface EmailCardProps {
  email: string;
  onChanged: () => Promise<void>;
}

type Step = { name: 'shown' | 'changed' | 'asked' } | { name: 'sent'; to: string };

/** Another address counts once both have answered: the old one agrees, the new one is there. */
export function EmailCard({ email, onChanged }: EmailCardProps) {
  const account = useAccount();
  const [step, setStep] = useState<Step>({ name: 'shown' });
  const cancel = useAction();

  if (step.name === 'asked')
    return (
      <Card title="E-mail">
        <AddressForm
          onSent={(to) => setStep({ name: 'sent', to })}
          onBack={() => setStep({ name: 'shown' })}
        />
      </Card>
    );
  if (step.name === 'sent')
    return (
      <Card title="E-mail">
        <CodesForm
          from={email}
          to={step.to}
          onConfirmed={async () => {
            await onChanged();
            setStep({ name: 'changed' });
          }}
          onBack={() =>
            void cancel.run(async () => {
              setStep({ name: 'shown' });
              await account.cancelEmail();
            })
          }
        />
      </Card>
    );
  return (
    <Card title="E-mail">
      <Text className="break">{email}</Text>
      <Fault error={cancel.error} />
      <div className="buttons">
        <Button variant="default" onClick={() => setStep({ name: 'asked' })}>
          Change
        </Button>
        <span className="sub" role="status">
          {step.name === 'changed' ? 'Changed. Your other sessions have ended.' : ''}
        </span>
      </div>
    </Card>
  );
}

function AddressForm({ onSent, onBack }: { onSent: (to: string) => void; onBack: () => void }) {
  const account = useAccount();
  const [email, setEmail] = useState('');
  const { busy, error, run } = useAction();
  const fault = faultsByField(error)['new_email'];

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    void run(async () => {
      await account.requestEmail(email.trim());
      onSent(email.trim());
    });
  }

  return (
    <form className="stack" onSubmit={submit}>
      {fault === undefined ? <Fault error={error} /> : null}
      <TextInput
        label="New address"
        type="email"
        description="We send a code to it, and another to the address you have now."
        autoComplete="email"
        autoFocus
        required
        value={email}
        error={fault}
        onChange={(event) => setEmail(event.currentTarget.value)}
      />
      <div className="buttons">
        <Button type="submit" loading={busy}>
          Send both codes
        </Button>
        <Button variant="default" onClick={onBack}>
          Cancel
        </Button>
      </div>
    </form>
  );
}

interface CodesFormProps {
  from: string;
  to: string;
  onConfirmed: () => Promise<void>;
  onBack: () => void;
}

function CodesForm({ from, to, onConfirmed, onBack }: CodesFormProps) {
  const account = useAccount();
  const [codes, setCodes] = useState({ old_code: '', new_code: '' });
  const { busy, error, run } = useAction();
  const whole = Object.values(codes).every((code) => code.length === CODE_LENGTH);

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    void run(async () => {
      await account.confirmEmail(codes);
      await onConfirmed();
    });
  }

  return (
    <form className="stack" onSubmit={submit}>
      <Text size="sm" role="status">
        Two mails are on their way. Both codes are good for one hour.
      </Text>
      <Fault error={error} />
      <CodeInput
        label={`Code sent to ${from}`}
        code={codes.old_code}
        onChange={(code) => setCodes((old) => ({ ...old, old_code: code }))}
      />
      <CodeInput
        label={`Code sent to ${to}`}
        code={codes.new_code}
        autoFocus={false}
        onChange={(code) => setCodes((old) => ({ ...old, new_code: code }))}
      />
      <MailHint />
      <div className="buttons">
        <Button type="submit" loading={busy} disabled={!whole}>
          Change the address
        </Button>
        <Button variant="default" onClick={onBack}>
          Keep the old one
        </Button>
      </div>
    </form>
  );
}
