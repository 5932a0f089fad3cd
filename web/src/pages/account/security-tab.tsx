import { Suspense, lazy, useState } from 'react';
import { Awaited } from '../../components/awaited.tsx';
import { RecoveryCodes } from '../../components/recovery-codes.tsx';
import { useLoaded } from '../../hooks/use-loaded.ts';
import { useAccount } from '../../hooks/use-step-up.tsx';
import { PasskeysCard } from './passkeys-card.tsx';
import { PasswordCard } from './password-card.tsx';
import { RecoveryCard } from './recovery-card.tsx';

// Draws the QR code.
const AppCard = lazy(async () => ({ default: (await import('./app-card.tsx')).AppCard }));

/** How one gets in: the password, and what stands beside it. */
export function SecurityTab() {
  const account = useAccount();
  const factors = useLoaded(account.factors);
  const [codes, setCodes] = useState<readonly string[]>([]);

  const changed = async (made: readonly string[] = []): Promise<void> => {
    if (made.length > 0) setCodes(made);
    await factors.reload();
  };
  return (
    <>
      {codes.length > 0 ? <RecoveryCodes codes={codes} onDone={() => setCodes([])} /> : null}
      <PasswordCard />
      <Awaited of={factors}>
        {(known) => (
          <>
            <Suspense>
              <AppCard isOn={known.totp} onChanged={changed} />
            </Suspense>
            <PasskeysCard onChanged={changed} />
            {known.totp || known.passkeys > 0 ? (
              <RecoveryCard left={known.recovery_codes_left} onChanged={changed} />
            ) : null}
          </>
        )}
      </Awaited>
    </>
  );
}
