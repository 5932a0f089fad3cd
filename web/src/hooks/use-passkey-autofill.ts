import { useEffect, useEffectEvent, useState } from 'react';
import { post } from '../model/anonymous.ts';
import { passkeysWork } from '../model/passkeys.ts';
import { tenantField } from '../model/tenant.ts';

/** The gateway's question is good for five minutes. */
const RENEW_MS = 4 * 60_000;

/** Lets the browser offer passkeys of the tenant where the username is typed. Whoever does not take one notices nothing. */
export function usePasskeyAutofill(
  tenant: number | undefined,
  onChosen: (answer: { asked: unknown; response: unknown }) => void,
): void {
  const [round, setRound] = useState(0);
  const choose = useEffectEvent(onChosen);
  useEffect(() => {
    if (!passkeysWork()) return undefined;
    const stop = new AbortController();
    const offer = async (): Promise<void> => {
      const library = await import('../model/webauthn.ts');
      if (!(await library.browserSupportsWebAuthnAutofill())) return;
      stop.signal.throwIfAborted();
      const asked = await post('/api/passkeys/login-options', tenantField());
      const options = (asked as { options: Parameters<typeof library.startAuthentication>[0]['optionsJSON'] })
        .options;
      stop.signal.throwIfAborted();
      stop.signal.addEventListener('abort', () => library.WebAuthnAbortService.cancelCeremony());
      const response = await library.startAuthentication({ optionsJSON: options, useBrowserAutofill: true });
      choose({ asked, response });
    };
    // Cancelled, refused or not there: the password remains.
    offer().catch(() => undefined);
    const timer = setTimeout(() => setRound((count) => count + 1), RENEW_MS);
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [round, tenant]);
}
