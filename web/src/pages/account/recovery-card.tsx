import { Button, Text } from '@mantine/core';
import { Card } from '../../components/card.tsx';
import { Fault } from '../../components/fault.tsx';
import { formatNumber } from '../../format.ts';
import { useAction } from '../../hooks/use-action.ts';
import { useAccount } from '../../hooks/use-step-up.tsx';

const FEW = 3;

interface RecoveryCardProps {
  left: number;
  onChanged: (codes: readonly string[]) => Promise<void>;
}

export function RecoveryCard({ left, onChanged }: RecoveryCardProps) {
  const account = useAccount();
  const { busy, error, run } = useAction();
  return (
    <Card
      title="Recovery codes"
      state={<span className={left <= FEW ? 'low' : 'sub'}>{formatNumber(left)} left</span>}
    >
      <Text size="sm">For the day your app or passkey is gone. New ones replace those you have.</Text>
      <Fault error={error} />
      <div className="buttons">
        <Button
          variant="default"
          loading={busy}
          onClick={() => void run(async () => onChanged(await account.renewRecoveryCodes()))}
        >
          Make new ones
        </Button>
      </div>
    </Card>
  );
}
