import { AppError, toWireError } from '../../protocol/errors.ts';
import type { Principal } from '../auth/principal.ts';
import { clientAddress, presentedBy } from './guards.ts';
import type { Doorkeeper } from './guards.ts';

type Handshake = Parameters<typeof clientAddress>[0] & { auth: Record<string, unknown> };

/** Who is at the door. Throws AppError `unauthenticated` and what `Doorkeeper.authenticate` throws. */
export async function authenticateHandshake(
  handshake: Handshake,
  deps: { identity: Doorkeeper; trustProxy: boolean },
): Promise<Principal> {
  const { token, dpop } = handshake.auth;
  if (typeof token !== 'string' || token === '')
    throw new AppError('unauthenticated', {
      message: 'Authenticate: send an access token in auth.token. API keys are for HTTP alone.',
    });
  const ip = clientAddress(handshake, deps.trustProxy);
  return await deps.identity.authenticate(token, presentedBy(deps.identity, ip, dpop));
}

/** The refusal in the form Socket.IO hands to `connect_error`. */
export function toConnectError(error: AppError): Error {
  return Object.assign(new Error(error.message), { data: toWireError(error) });
}
