import { AppError } from '../../protocol/errors.ts';
import { createTokenVerifier } from './access-token.ts';
import type { AccessClaims } from './access-token.ts';
import type { IdentityCore } from './core.ts';
import type { Identity } from './identity.ts';
import { requirePossession } from './possession.ts';
import type { Presented } from './possession.ts';
import type { Principal } from './principal.ts';
import { noteTokenRefusal } from './refusals.ts';
import type { SessionState } from './session-states.ts';

/** What a principal was made of; without `from` no address was asked for. */
interface Origin {
  claims: AccessClaims;
  from: Presented | undefined;
}

const ANYWHERE = Symbol('no address');

/** Who somebody is, by the access token of a session. */
export function createAuthentication(
  core: IdentityCore,
): Pick<Identity, 'authenticate' | 'inspect' | 'current' | 'standingOf'> {
  const verifier = createTokenVerifier(core);
  const principals = createPrincipals();
  const verify = async (token: string): Promise<AccessClaims> => {
    if (token.startsWith('slk_')) throw notAToken();
    return verifier.verify(token);
  };
  const requireState = async ({ tid, sid }: AccessClaims): Promise<SessionState> => {
    const state = await core.states.load(tid, sid);
    // asked after loading: a revocation that arrived meanwhile counts
    if (state?.usable !== true || core.revocations.isRevoked(sid)) throw new AppError('revoked');
    return state;
  };
  const requireCurrent = async (claims: AccessClaims): Promise<SessionState> => {
    const state = await requireState(claims);
    if (claims.sub !== state.id) throw new AppError('invalid_token');
    if (state.expiresAt <= core.clock()) throw new AppError('token_expired');
    return state;
  };
  return {
    async authenticate(token, from) {
      const claims = await verify(token);
      try {
        const state = await requireCurrent(claims);
        if (from !== undefined) await core.addressRules.requireAllowed(claims.tid, from);
        await requirePossession(core, { token, claims, jkt: state.dpopJkt }, from);
        return principals.make({ claims, from }, state);
      } catch (error) {
        await noteTokenRefusal(core, claims, { from, error });
        throw error;
      }
    },
    async inspect(token) {
      const claims = await verify(token);
      return { claims, state: await requireCurrent(claims) };
    },
    async current(principal) {
      const origin = principals.originOf(principal);
      if (origin === undefined) return principal;
      const { claims, from } = origin;
      if (from !== undefined) await core.addressRules.requireAllowed(claims.tid, from);
      return principals.make(origin, await requireState(claims));
    },
    async standingOf({ kind, tenantId, sessionId }) {
      const state = await core.states.load(tenantId, sessionId);
      if (state === undefined) throw new AppError('revoked');
      const { roles, ratePerMinute, roleRate } = state;
      return { role: roles[0] ?? 'member', own: (kind === 'client' ? ratePerMinute : roleRate) ?? undefined };
    },
  };
}

/** A principal stands for a token and an address: the same token from elsewhere is another one. */
function createPrincipals(): {
  /** Throws `forbidden` where the principal may not be used from. */
  make(origin: Origin, state: SessionState): Principal;
  originOf(principal: Principal): Origin | undefined;
} {
  const made = new WeakMap<AccessClaims, { state: SessionState; byAddress: Map<unknown, Principal> }>();
  const originOf = new WeakMap<Principal, Origin>();
  return {
    make(origin, state) {
      const { claims, from } = origin;
      if (from !== undefined && !state.allowsAddress(from.ip)) {
        throw new AppError('forbidden', { message: 'This client may not be used from your address.' });
      }
      const known = made.get(claims);
      const byAddress = known?.state === state ? known.byAddress : new Map<unknown, Principal>();
      if (byAddress !== known?.byAddress) made.set(claims, { state, byAddress });
      const address = from === undefined ? ANYWHERE : from.ip;
      const principal = byAddress.get(address) ?? toPrincipal(claims, state);
      byAddress.set(address, principal);
      originOf.set(principal, origin);
      return principal;
    },
    originOf: (principal) => originOf.get(principal),
  };
}

/** Rights are the intersection of what the token says and what the database says now. */
function toPrincipal(claims: AccessClaims, state: SessionState): Principal {
  const scopes = claims.scope.split(' ').filter((scope) => state.scopes.has(scope));
  return {
    tenantId: state.tenantId,
    kind: state.kind,
    id: state.id,
    name: state.name,
    ...(state.displayName !== null && { displayName: state.displayName }),
    sessionId: state.sessionId,
    scopes: new Set(scopes),
    grants: state.grants,
    expiresAt: claims.exp * 1_000,
  };
}

function notAToken(): AppError {
  return new AppError('invalid_token', {
    message: 'This is an API key: send it as X-API-Key over HTTP. Sockets take access tokens.',
  });
}
