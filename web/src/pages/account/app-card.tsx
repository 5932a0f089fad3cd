import { useState, type SyntheticEvent } from 'react';
import { Badge, Button, Code, Text } from '@mantine/core';
import { Card } from '../../components/card.tsx';
import { CodeInput, CODE_LENGTH } from '../../components/code-input.tsx';
import { CopyButton } from '../../components/copy-button.tsx';
import { FACTOR_ADVICE, FactorCode, isWhole } from '../../components/factor-code.tsx';
import { Fault } from '../../components/fault.tsx';
import { QrCode } from '../../components/qr-code.tsx';
import { useAction } from '../../hooks/use-action.ts';
import { useAccount } from '../../hooks/use-step-up.tsx';
import type { Enrolment } from '../../model/account.ts';

interface AppCardProps {
  isOn: boolean;
  /** With recovery codes, when they were made. */
  onChanged: (codes?: readonly string[]) => Promise<void>;
}

/** Codes of an authenticator app. */
export function AppCard({ isOn, onChanged }: AppCardProps) {
  return (
    <Card
      title="Authenticator app"
      state={
        <Badge variant="light" color={isOn ? 'teal' : 'gray'} radius="sm" className="kind">
          {isOn ? 'On' : 'Off'}
        </Badge>
      }
    >
      <Text size="sm">
        {isOn
          ? 'After your password, a code of your app is asked for.'
          : 'An app on your phone shows a new code each half minute. With it, your password alone lets nobody in.'}
      </Text>
      {isOn ? <TurnOff onOff={onChanged} /> : <SetUp onConfirmed={onChanged} />}
    </Card>
  );
}

function SetUp({ onConfirmed }: { onConfirmed: (codes: readonly string[]) => Promise<void> }) {
  const account = useAccount();
  const [enrolment, setEnrolment] = useState<Enrolment>();
  const { busy, error, run } = useAction();
  if (enrolment)
    return <Confirm enrolment={enrolment} onConfirmed={onConfirmed} onBack={() => setEnrolment(undefined)} />;
  return (
    <>
      <Fault error={error} />
      <div className="buttons">
        <Button
          variant="default"
          loading={busy}
          onClick={() => void run(async () => setEnrolment(await account.enrol()))}
        >
          Set up
        </Button>
      </div>
    </>
  );
}

interface ConfirmProps {
  enrolment: Enrolment;
  onConfirmed: (codes: readonly string[]) => Promise<void>;
  onBack: () => void;
}

function Confirm({ enrolment: { secret, otpauth_uri: uri }, onConfirmed, onBack }: ConfirmProps) {
  const account = useAccount();
  const [code, setCode] = useState('');
  const { busy, error, run } = useAction();

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    void run(async () => onConfirmed(await account.confirmApp(code)));
  }

  return (
    <form className="stack" onSubmit={submit}>
      <Text size="sm">Scan this with your app:</Text>
      <QrCode text={uri} label="QR code for your authenticator app" />
      <Text size="sm">
        Or type the key into it, or <a href={uri}>open the app on this device</a>.
      </Text>
      <div className="command">
        <Code block>{inFours(secret)}</Code>
        <CopyButton text={secret} label="Copy the key" />
      </div>
      <Fault error={error} advice={FACTOR_ADVICE} />
      <CodeInput
        label="The code it shows now"
        description="It proves that the app works, and turns it on."
        code={code}
        autoFocus={false}
        onChange={setCode}
      />
      <div className="buttons">
        <Button type="submit" loading={busy} disabled={code.length < CODE_LENGTH}>
          Turn on
        </Button>
        <Button variant="default" onClick={onBack}>
          Cancel
        </Button>
      </div>
    </form>
  );
}

function TurnOff({ onOff }: { onOff: () => Promise<void> }) {
  const account = useAccount();
  const [asking, setAsking] = useState(false);
  const [code, setCode] = useState('');
  const { busy, error, run } = useAction();

  function submit(event: SyntheticEvent): void {
    event.preventDefault();
    void run(async () => {
      await account.disableApp(code);
      await onOff();
    });
  }

  if (!asking)
    return (
      <div className="buttons">
        <Button variant="default" onClick={() => setAsking(true)}>
          Turn off…
        </Button>
      </div>
    );
  return (
    <form className="stack" onSubmit={submit}>
      <Fault error={error} advice={FACTOR_ADVICE} />
      <FactorCode methods={['totp', 'recovery']} code={code} onChange={setCode} />
      <div className="buttons">
        <Button type="submit" color="red" loading={busy} disabled={!isWhole(code)}>
          Turn off
        </Button>
        <Button variant="default" onClick={() => setAsking(false)}>
          Keep it on
        </Button>
      </div>
    </form>
  );
}

/** Easier to type. */
function inFours(secret: string): string {
  return secret.replace(/(.{4})(?=.)/g, '$1 ');
}
