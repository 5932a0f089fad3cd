import { useState, type ReactNode } from 'react';
import { Badge, Button } from '@mantine/core';
import { useAction } from '../hooks/use-action.ts';
import { Confirm } from './confirm.tsx';
import { Fault } from './fault.tsx';

interface SwitchableProps {
  name: string;
  disabled: boolean;
  /** One’s own account, which one closes elsewhere. */
  own?: boolean;
  /** What disabling it brings, before it is done. */
  warning: string;
  onSwitch: (disabled: boolean) => Promise<unknown>;
  onSwitched: () => Promise<void>;
  children: ReactNode;
}

/** Somebody, or something, that an administrator can keep out and let in again. */
export function Switchable(props: SwitchableProps) {
  const { name, disabled, own = false, warning, onSwitch, onSwitched, children } = props;
  const [asking, setAsking] = useState(false);
  const { busy, error, run } = useAction();

  async function turn(to: boolean): Promise<void> {
    await onSwitch(to);
    setAsking(false);
    await onSwitched();
  }

  return (
    <li>
      <div className="entry">
        <span className="two-lines">{children}</span>
        {disabled ? (
          <Badge variant="light" color="gray" radius="sm" className="kind">
            Disabled
          </Badge>
        ) : null}
        {own ? (
          <Badge variant="light" color="teal" radius="sm" className="kind">
            You
          </Badge>
        ) : (
          <Button
            size="compact-sm"
            variant="default"
            className={disabled ? '' : 'danger'}
            loading={busy}
            aria-label={disabled ? `Enable ${name}` : `Disable ${name}`}
            onClick={() => (disabled ? void run(() => turn(false)) : setAsking(true))}
          >
            {disabled ? 'Enable' : 'Disable…'}
          </Button>
        )}
      </div>
      <Fault error={error} />
      {asking ? (
        <Confirm
          title={`Disable ${name}?`}
          deed="Disable"
          onConfirm={() => turn(true)}
          onClose={() => setAsking(false)}
        >
          {warning}
        </Confirm>
      ) : null}
    </li>
  );
}
