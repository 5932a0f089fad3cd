import type { ReactNode } from 'react';
import { Button, Text, Title } from '@mantine/core';
import { useAction } from '../hooks/use-action.ts';
import { Dialog } from './dialog.tsx';
import { Fault } from './fault.tsx';

interface ConfirmProps {
  /** A question. */
  title: string;
  /** What is done, on its button. */
  deed: string;
  /** On the button that does nothing. */
  back?: string;
  onConfirm: () => void | Promise<void>;
  onClose: () => void;
  children: ReactNode;
}

/** Asks before what cannot be undone, or reaches others. Stays open with the reason when it is refused. */
export function Confirm({ title, deed, back = 'Go back', onConfirm, onClose, children }: ConfirmProps) {
  const { busy, error, run } = useAction();
  const confirm = (): void => void run(async () => onConfirm());
  return (
    <Dialog label={title} size="small" onClose={onClose}>
      <Title order={2} size="h4">
        {title}
      </Title>
      <Text size="sm">{children}</Text>
      <Fault error={error} />
      <div className="buttons">
        <Button color="red" loading={busy} onClick={confirm}>
          {deed}
        </Button>
        <Button variant="default" onClick={onClose}>
          {back}
        </Button>
      </div>
    </Dialog>
  );
}
