import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import { NEVER, NIL } from './admin-key.ts';
import type { ApiKeyState, KeyPlace } from './api-key-states.ts';
import type { Caller, IdentityCore } from './core.ts';
import type { CountListener } from './guess-gate.ts';
import { findKeyPlace, sameDigest, sha256 } from './opaque.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';
import { guardSecret } from './secret-guesses.ts';

/** Who an API key is. */
export interface ApiKeyCheck {
  /**
   * Throws `unauthenticated` (there is no such key), `revoked` and `token_expired` (only to who has it), `rate_limited`,
   * `unavailable`.
   */
  authenticate(key: string, caller: Caller, onCount?: CountListener): Promise<Principal>;
  /** The same principal with its rights as of now. Throws `revoked`, `token_expired`, `unavailable`. */
  current(principal: Principal): Promise<Principal>;
  /** Its own limit in a window of RATE_LIMIT_WINDOW_MS; undefined: none. */
  rateOf(principal: Principal): number | undefined;
}

/** What was presented: where to look, and what must be found there. */
interface Presented {
  place: KeyPlace;
  hash: Buffer;
}

const NOWHERE: KeyPlace = { tenantId: 0, prefix: '' };
const NOTHING = Buffer.alloc(32);
const USE_WRITTEN_EVERY_MS = 60_000;

export function createApiKeyCheck(core: IdentityCore): ApiKeyCheck {
  const made = new WeakMap<Principal, { presented: Presented; state: ApiKeyState }>();
  const admit = async (presented: Presented, state: ApiKeyState): Promise<Principal> => {
    await noteUse(core, state);
    const principal = toPrincipal(state);
    made.set(principal, { presented, state });
    return principal;
  };
  const check = async (presented: Presented, caller: Caller, isOver: boolean): Promise<Principal> => {
    const state = await core.apiKeys.load(presented.place);
    const refusal = findRefusal(core, presented, state);
    if (state !== undefined && refusal === undefined) return admit(presented, state);
    if (!isOver) await auditRefusal(core, { presented, state, refusal: refusal ?? unknown() }, caller);
    throw refusal ?? unknown();
  };
  return {
    async authenticate(key, caller, onCount) {
      const place = findKeyPlace(key) ?? NOWHERE;
      const presented = { place, hash: sha256(key) };
      const known = core.apiKeys.peek(place);
      if (known !== undefined && findRefusal(core, presented, known) === undefined)
        return admit(presented, known);
      return guardSecret(core, {
        account: `api key ${place.tenantId} ${place.prefix}`,
        ip: caller.ip,
        attempt: (isOver) => check(presented, caller, isOver),
        onCount,
      });
    },
    async current(principal) {
      const origin = made.get(principal);
      if (origin === undefined) return principal;
      const state = await core.apiKeys.load(origin.presented.place);
      const refusal = findRefusal(core, origin.presented, state);
      if (state === undefined || refusal !== undefined) throw refusal ?? unknown();
      return state === origin.state ? principal : admit(origin.presented, state);
    },
    rateOf: (principal) => made.get(principal)?.state.rateLimit ?? undefined,
  };
}

/** An unknown key costs the same comparison as a wrong one, and gets the same refusal (S52). */
function findRefusal(
  core: IdentityCore,
  presented: Presented,
  state: ApiKeyState | undefined,
): AppError | undefined {
  const matches = sameDigest(state?.hash ?? NOTHING, presented.hash);
  if (state === undefined || !matches) return unknown();
  if (!state.usable) {
    return new AppError('revoked', { message: 'This API key has been revoked: ask for another.' });
  }
  return state.expiresAt !== null && state.expiresAt <= core.clock()
    ? new AppError('token_expired', { message: 'This API key has expired: ask for another.' })
    : undefined;
}

function unknown(): AppError {
  return new AppError('unauthenticated', { message: 'There is no such API key.' });
}

/** Written at most once a minute; a key works although its use cannot be noted. */
async function noteUse(core: IdentityCore, state: ApiKeyState): Promise<void> {
  const now = core.clock();
  if (now - state.lastUsedAt < USE_WRITTEN_EVERY_MS) return;
  state.lastUsedAt = now;
  try {
    await core.db.sql(
      `UPDATE api_keys SET last_used_at = $3
       WHERE tenant_id = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at <= $4)`,
      [state.tenantId, state.id, new Date(now), new Date(now - USE_WRITTEN_EVERY_MS)],
    );
  } catch (error) {
    const err = error instanceof Error ? error.message : String(error);
    core.log.warn({ apiKeyId: state.id, err }, 'the use of an API key could not be noted');
  }
}

function toPrincipal(state: ApiKeyState): Principal {
  return {
    tenantId: state.tenantId,
    kind: 'api_key',
    id: state.id,
    name: state.name,
    sessionId: NIL,
    scopes: state.scopes,
    grants: state.grants,
    expiresAt: state.expiresAt ?? NEVER,
  };
}

/** A prefix could name any tenant: only who has the key writes into that tenant's log. */
async function auditRefusal(
  core: IdentityCore,
  tried: { presented: Presented; state: ApiKeyState | undefined; refusal: AppError },
  caller: Caller,
): Promise<void> {
  const { state, refusal } = tried;
  const known = refusal.code === 'unauthenticated' ? undefined : state;
  await appendAudit(core.db.sql, {
    tenantId: known?.tenantId ?? 1,
    action: 'api_key.authentication',
    principal: known === undefined ? null : principalKey({ kind: 'api_key', id: known.id }),
    success: false,
    code: refusal.code,
    ip: caller.ip,
    requestId: caller.requestId,
  });
}
