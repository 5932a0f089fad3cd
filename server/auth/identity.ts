import type { JWK } from 'jose';
import { z } from 'zod';
import { AppError } from '../../protocol/errors.ts';
import { dataPath } from '../config.ts';
import type { Config } from '../config.ts';
import type { Database } from '../db.ts';
import type { Hints } from '../hints.ts';
import { startJobs } from '../jobs.ts';
import type { JobHandler } from '../jobs.ts';
import type { Logger } from '../log.ts';
import { createMailer, mailShape } from '../mail.ts';
import type { Mailer } from '../mail.ts';
import { createTokenVerifier } from './access-token.ts';
import type { AccessClaims } from './access-token.ts';
import { MAIL_JOB, RESEND_JOB, resendVerification } from './accounts.ts';
import { openAdminKey } from './admin-key.ts';
import type { Clock } from './clock.ts';
import type { Caller, IdentityCore } from './core.ts';
import { createGuessLimits } from './guess-limits.ts';
import { openKeyRing } from './key-ring.ts';
import type { LiveSockets } from './live-sockets.ts';
import { logInGuarded } from './login.ts';
import type { Credentials, LoggedIn } from './login.ts';
import { startMaintenance } from './maintenance.ts';
import { createPasswordHasher } from './passwords.ts';
import type { Principal } from './principal.ts';
import { startRevocations } from './revocations.ts';
import type { RevokeCause, RevokeTarget } from './revocations.ts';
import { revoke } from './revoke.ts';
import { createSecretBox } from './secret-box.ts';
import { createSessionStates } from './session-states.ts';
import type { SessionState } from './session-states.ts';
import { readOrCreateSecret } from './stored-secret.ts';
import { requireTenant } from './tenants.ts';

export interface IdentityOptions {
  db: Database;
  config: Config;
  log: Logger;
  hints: Hints;
  /** PUBLIC_URL, or the listening URL; asked each time, for the port may be known only after listening. */
  issuer: () => string;
  clock?: Clock;
  /** Where mail is printed when there is no SMTP_SERVER. */
  console?: NodeJS.WritableStream;
}

/** Who somebody is and what they may do; everything about tokens, sessions and accounts stands behind it. */
export interface Identity {
  /**
   * Validates an access token locally and returns its principal with its rights as of now (at most 5 s old, and at once after
   * a change on this node). Throws `invalid_token`, `token_expired`, `revoked`, `unavailable`; `forbidden` when the client
   * may not be used from `from.ip`.
   */
  authenticate(token: string, from?: { ip?: string | undefined }): Promise<Principal>;
  /**
   * The same principal with its rights as of now, for the next event of an open socket. Throws `revoked`, `unavailable`;
   * `forbidden` when its client may no longer be used from the address it was authenticated for.
   */
  current(principal: Principal): Promise<Principal>;
  /** The admin key as a principal of an existing tenant. Throws `unauthenticated`, `not_found`. */
  authenticateKey(key: string, tenantId?: number): Promise<Principal>;
  /** Requests a minute its administrators allow this principal; undefined: no limit of its own. */
  rateOf(principal: Principal): Promise<number | undefined>;
  /** A password login for a socket: opens a session, within the limits that HTTP has too. Throws as `POST /api/login`. */
  logIn(credentials: Credentials, caller: Caller): Promise<LoggedIn & { principal: Principal }>;
  sockets: LiveSockets;
  jwks(): { keys: JWK[] };
  /** Publishes a new signing key; it signs once every JWKS cache has it. */
  rotateKeys(options?: { immediately?: boolean }): Promise<void>;
  revoke(target: RevokeTarget, cause: RevokeCause): Promise<number>;
  /** The mails printed instead of sent; undefined when there is a mail server. */
  keptMail: Mailer['kept'];
  /** File the admin key was written to; undefined when it is INTERNAL_API_KEY. */
  adminKeyFile: string | undefined;
  core: IdentityCore;
  close(): Promise<void>;
}

/** Opens keys and secrets (made on the first start), starts the revocation watch, the job worker and the maintenance. */
export async function startIdentity(options: IdentityOptions): Promise<Identity> {
  const { db, config, log, hints } = options;
  const clock = options.clock ?? Date.now;
  const box = createSecretBox(
    config.CONFIG_ENCRYPTION_KEY ?? (await readOrCreateSecret(dataPath(config, 'encryption.key'))),
  );
  const tokenLife = config.JWT_EXPIRES_IN;
  const adminKey = await openAdminKey(config);
  const passwords = await createPasswordHasher();
  const keys = await openKeyRing({ db, box, clock, tokenLife });
  const states = createSessionStates(db.sql, clock);
  const revocations = startRevocations({ db, hints, log, states, keys, clock, tokenLife });
  const mailer = createMailer(config, options.console ?? process.stdout, clock);
  const handlers = createHandlers(mailer, () => core);
  const jobs = startJobs({ db, box, log, clock, handlers });
  const maintenance = startMaintenance({ db, keys, config, log, clock });
  const guesses = createGuessLimits(config);
  const core: IdentityCore = { ...options, clock, box, keys, states, revocations, passwords, guesses, jobs };
  const authentication = createAuthentication(core);
  return {
    ...authentication,
    async authenticateKey(key, tenantId = 1) {
      const principal = adminKey.authenticate(key, tenantId);
      await requireTenant(db.sql, tenantId);
      return principal;
    },
    async logIn(credentials, caller) {
      const loggedIn = await logInGuarded(core, credentials, caller);
      return { ...loggedIn, principal: await authentication.authenticate(loggedIn.tokens.accessToken) };
    },
    sockets: revocations.sockets,
    jwks: () => keys.jwks(),
    async rotateKeys(rotation) {
      await keys.rotate(rotation);
      revocations.announceKeys();
    },
    revoke: (target, cause) => revoke(core, target, cause),
    keptMail: mailer.kept,
    adminKeyFile: adminKey.file,
    core,
    async close() {
      maintenance.close();
      revocations.close();
      await jobs.close();
      mailer.close();
    },
  };
}

const resendPayload = z.object({ emailKey: z.string() });

function createHandlers(mailer: Mailer, core: () => IdentityCore): Record<string, JobHandler> {
  return {
    [MAIL_JOB]: (payload) => mailer.send(mailShape.parse(payload)),
    [RESEND_JOB]: (payload) => resendVerification(core(), resendPayload.parse(payload).emailKey),
  };
}

/** What a principal was made of; without `from` no address was asked for. */
interface Origin {
  claims: AccessClaims;
  from: { ip?: string | undefined } | undefined;
}

const ANYWHERE = Symbol('no address');

function createAuthentication(core: IdentityCore): Pick<Identity, 'authenticate' | 'current' | 'rateOf'> {
  const verifier = createTokenVerifier(core);
  // a principal stands for a token and an address: the same token from elsewhere is another one
  const made = new WeakMap<AccessClaims, { state: SessionState; byAddress: Map<unknown, Principal> }>();
  const originOf = new WeakMap<Principal, Origin>();
  const requireState = async (tenantId: number, sessionId: string): Promise<SessionState> => {
    const state = await core.states.load(tenantId, sessionId);
    // asked after loading: a revocation that arrived meanwhile counts
    if (state?.usable !== true || core.revocations.isRevoked(sessionId)) throw new AppError('revoked');
    return state;
  };
  const principalFor = (origin: Origin, state: SessionState): Principal => {
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
  };
  return {
    async authenticate(token, from) {
      const claims = await verifier.verify(token);
      const state = await requireState(claims.tid, claims.sid);
      if (claims.sub !== state.id) throw new AppError('invalid_token');
      if (state.expiresAt <= core.clock()) throw new AppError('token_expired');
      return principalFor({ claims, from }, state);
    },
    async current(principal) {
      const origin = originOf.get(principal);
      if (origin === undefined) return principal;
      return principalFor(origin, await requireState(origin.claims.tid, origin.claims.sid));
    },
    async rateOf(principal) {
      if (principal.kind !== 'client') return undefined;
      return (await core.states.load(principal.tenantId, principal.sessionId))?.ratePerMinute ?? undefined;
    },
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
    sessionId: state.sessionId,
    scopes: new Set(scopes),
    grants: state.grants,
    expiresAt: claims.exp * 1_000,
  };
}
