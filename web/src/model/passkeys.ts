import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/browser';

/** What the browser does with passkeys. The library is loaded when the first one is asked for. */

const load = () => import('./webauthn.ts');

/** What a browser says in the words of its makers. */
class PasskeyFailure extends Error {}

/** Browsers bind passkeys to a name, and offer them on secure pages alone. */
export function passkeysWork(): boolean {
  return window.isSecureContext && 'PublicKeyCredential' in window && !isAddress(location.hostname);
}

/** Where the same page can have them: this machine has a name too. */
export function namedAddress(): string | undefined {
  if (!/^(127\.\d+\.\d+\.\d+|\[::1\])$/.test(location.hostname)) return undefined;
  return `${location.protocol}//localhost${location.port === '' ? '' : `:${location.port}`}`;
}

export async function makePasskey(answer: unknown): Promise<unknown> {
  const { startRegistration } = await load();
  return translated(
    startRegistration({ optionsJSON: optionsOf(answer) as PublicKeyCredentialCreationOptionsJSON }),
  );
}

export async function usePasskeyOf(answer: unknown): Promise<unknown> {
  const { startAuthentication } = await load();
  return translated(
    startAuthentication({ optionsJSON: optionsOf(answer) as PublicKeyCredentialRequestOptionsJSON }),
  );
}

export const challengeOf = (answer: unknown): unknown => fieldsOf(answer)['challenge_id'];

/** The options stand alone, or beside the id of their challenge. */
function optionsOf(answer: unknown): unknown {
  return fieldsOf(answer)['options'] ?? answer;
}

function isAddress(host: string): boolean {
  return /^[\d.]+$/.test(host) || host.startsWith('[');
}

async function translated<T>(ceremony: Promise<T>): Promise<T> {
  try {
    return await ceremony;
  } catch (error) {
    throw new PasskeyFailure(wordsFor(error instanceof Error ? error.name : ''), { cause: error });
  }
}

function wordsFor(name: string): string {
  if (name === 'InvalidStateError') return 'There is a passkey for this account on that device already.';
  if (name === 'SecurityError') return 'The browser allows no passkeys under this address.';
  return 'No passkey was used: it was cancelled, or it took too long. Try again.';
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
