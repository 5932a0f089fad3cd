import { useEffect, useRef } from 'react';
import { Button, Text } from '@mantine/core';
import { Card } from './card.tsx';
import { CopyButton } from './copy-button.tsx';

interface RecoveryCodesProps {
  codes: readonly string[];
  onDone: () => void;
}

/** Shown once: to be copied, saved or printed. */
export function RecoveryCodes({ codes, onDone }: RecoveryCodesProps) {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    ref.current?.scrollIntoView({ block: 'nearest' });
    ref.current?.focus();
  }, []);
  const text = textOf(codes);
  return (
    <div className="recovery" ref={ref} tabIndex={-1}>
      <Card title="Your recovery codes">
        <Text size="sm">
          Each lets you in once, in place of the code or passkey, should you lose your device. Keep them where
          you would look then. They are shown this one time.
        </Text>
        <ol className="codes">
          {codes.map((code) => (
            <li key={code}>
              <code>{code}</code>
            </li>
          ))}
        </ol>
        <div className="buttons">
          <CopyButton text={text} label="Copy the recovery codes" />
          <Button size="compact-sm" variant="default" onClick={() => save(text)}>
            Save as a file
          </Button>
          <Button size="compact-sm" variant="default" onClick={() => print()}>
            Print
          </Button>
        </div>
        <div className="buttons">
          <Button onClick={onDone}>I have kept them</Button>
        </div>
      </Card>
    </div>
  );
}

function textOf(codes: readonly string[]): string {
  return [`Recovery codes for Sluice at ${location.host}. Each works once.`, '', ...codes, ''].join('\n');
}

function save(text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = 'sluice-recovery-codes.txt';
  link.click();
  // After the browser has taken it up.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
