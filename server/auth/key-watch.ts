import type { Logger } from '../log.ts';
import type { KeyRing } from './key-ring.ts';

/** As often as the keys move on where they sign: one that has retired there is refused here within this time (S10). */
const EVERY_MS = 60_000;

/** Where keys are only checked: sees every minute where they are. */
export function startKeyWatch({ keys, log }: { keys: Pick<KeyRing, 'reload'>; log: Logger }): {
  close(): void;
} {
  const timer = setInterval(() => {
    keys.reload().catch((error: unknown) => {
      log.warn({ err: error instanceof Error ? error.message : String(error) }, 'keys could not be read');
    });
  }, EVERY_MS);
  return { close: () => clearInterval(timer) };
}
