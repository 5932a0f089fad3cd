import type { JWK } from 'jose';
import { z } from 'zod';
import { dataPath, servesIdentity } from '../config.ts';
import type { Config } from '../config.ts';
import type { Database } from '../db.ts';
import type { Hints } from '../hints.ts';
import { startJobs } from '../jobs.ts';
import type { JobHandler, Jobs } from '../jobs.ts';
import type { Logger } from '../log.ts';
import { createMailer, mailShape } from '../mail.ts';
import type { Mailer } from '../mail.ts';
import { createTokenScheme } from './access-token.ts';
import type { AccessClaims } from './access-token.ts';
import { createAuthentication } from './authentication.ts';
import type { Presented } from './possession.ts';
import { MAIL_JOB, RESEND_JOB, resendVerification } from './accounts.ts';
import { isAdminKey, openAdminKey } from './admin-key.ts';
import type { AdminKey } from './admin-key.ts';
import { createAddressRules } from './address-rules.ts';
import { createApiKeyCheck } from './api-key-check.ts';
import { createApiKeyStates } from './api-key-states.ts';
import { createClientLookUps } from './client-grants.ts';
import { createClientSessions } from './client-sessions.ts';
import type { Clock } from './clock.ts';
import type { Caller, IdentityCore } from './core.ts';
import type { CountListener } from './guess-gate.ts';
import { createDeviceRequests } from './device-requests.ts';
import type { DeviceRequests } from './device-requests.ts';
import { createLimits } from '../limits/limits.ts';
import { API_KEY_ROLE } from '../limits/role-limits.ts';
import { createGuessLimits } from './guess-limits.ts';
import { openKeyRing } from './key-ring.ts';
import { startKeyWatch } from './key-watch.ts';
import type { LiveSockets } from './live-sockets.ts';
import { createLoginGate, logInGuarded } from './login.ts';
import type { Credentials, LoggedIn } from './login.ts';
import { startMaintenance } from './maintenance.ts';
import { FORGOT_JOB, mailReset } from './passwords-change.ts';
import { createPasswordHasher } from './passwords.ts';
import { createProofOfWork } from './proof-of-work.ts';
import { createRefusals } from './refusals.ts';
import type { Principal } from './principal.ts';
import { startRevocations } from './revocations.ts';
import type { RevokeCause, RevokeTarget } from './revocations.ts';
import type { DisconnectListener } from './revoke-delays.ts';
import { revoke } from './revoke.ts';
import { createSecretBox } from './secret-box.ts';
import type { SecretBox } from './secret-box.ts';
import { createSessionStates } from './session-states.ts';
import type { SessionState } from './session-states.ts';
import { readOrCreateSecret } from './stored-secret.ts';
import { createSuspicion } from './suspicion.ts';
import { requireTenant } from './tenants.ts';

export interface IdentityOptions {
  db: Database;
  config: Config;
  log: Logger;
  hints: Hints;
  /** PUBLIC_URL, or the listening URL; asked each time, for the port may be known only after listening. */
  issuer: () => string;
  /** Where this process itself is reached; left out: at the issuer. */
  baseUrl?: () => string;
  clock?: Clock;
  /** Where mail is printed when there is no SMTP_SERVER. */
  console?: NodeJS.WritableStream;
  /** Hears how long a socket outlived its session, in seconds, and how this node heard of its end. */
  onDisconnect?: DisconnectListener | undefined;
}

/** Who somebody is and what they may do; everything about tokens, sessions and accounts stands behind it. */
export interface Identity {
  /**
   * Validates an access token locally and returns its principal with its rights as of now (at most 5 s old, and at once after
   * a change on this node). Throws `invalid_token`, `token_expired`, `revoked`, `unavailable`; `forbidden` when the client
   * may not be used from `from.ip`, `address_refused` when its tenant lets nobody in from there; `invalid_dpop_proof`,
   * `use_dpop_nonce` when it is bound to a key and `from.dpop` does
   * not prove that the caller has it.
   */
  authenticate(token: string, from?: Presented): Promise<Principal>;
  /** What a valid token says, for who asks about it and does not use it. Throws as `authenticate`, but for where and how. */
  inspect(token: string): Promise<{ claims: AccessClaims; state: SessionState }>;
  /**
   * The same principal with its rights as of now, for the next event of an open socket. Throws `revoked`, `unavailable`;
   * `forbidden` when its client may no longer be used from the address it was authenticated for.
   */
  current(principal: Principal): Promise<Principal>;
  /**
   * The admin key as a principal of an existing tenant (1 when none is named), or a tenant's API key as one of its own. Throws
   * `unauthenticated`, `not_found`, `revoked`, `token_expired`, `rate_limited`, `unavailable`.
   */
  authenticateKey(key: string, request?: KeyRequest): Promise<Principal>;
  /** What limits go by; undefined: the admin key, which has none. */
  standingOf(principal: Principal): Promise<Standing | undefined>;
  /** A password login for a socket: opens a session, within the limits that HTTP has too. Throws as `POST /api/login`. */
  logIn(credentials: Credentials, caller: Caller): Promise<LoggedIn & { principal: Principal }>;
  sockets: LiveSockets;
  /** Terminals that wait for a person. */
  deviceRequests: DeviceRequests;
  jwks(): { keys: JWK[] };
  revoke(target: RevokeTarget, cause: RevokeCause): Promise<number>;
  /** The mails printed instead of sent; undefined when there is a mail server. */
  keptMail: Mailer['kept'];
  /** File the admin key was written to; undefined when it is INTERNAL_API_KEY. */
  adminKeyFile: string | undefined;
  core: IdentityCore;
  close(): Promise<void>;
}

/** What the limits of a caller go by. */
export interface Standing {
  /** Of API keys, which have no role, `api_key`. */
  role: string;
  /**
   * Requests its administrators allow: an OAuth client a minute, an API key or each person of a tenant's own role in a window of
   * RATE_LIMIT_WINDOW_MS; undefined: what the role has.
   */
  own: number | undefined;
}

/** A key that came over HTTP, and with what. */
export interface KeyRequest {
  /** The tenant that the request names: the admin key has none of its own. */
  tenantId?: number | undefined;
  caller?: Caller | undefined;
  onCount?: CountListener | undefined;
}

/** Opens keys and secrets (made on the first start), starts the revocation watch, the job worker and the maintenance. */
export async function startIdentity(options: IdentityOptions): Promise<Identity> {
  const { db, config, log, hints, issuer, baseUrl = issuer, onDisconnect } = options;
  const clock = options.clock ?? Date.now;
  const box = await openBox(config);
  const tokenLife = config.JWT_EXPIRES_IN;
  const adminKey = await openAdminKey(config);
  const keys = await openKeyRing({ db, box, clock, tokenLife, checksOnly: !servesIdentity(config) });
  const stored = createStates({ db, log, clock });
  const watched = { ...stored, db, hints, log, keys, clock, tokenLife, onDisconnect };
  const revocations = startRevocations(watched);
  const { mailer, jobs, maintenance } = startWork({ ...options, clock, box, keys }, () => core);
  const limits = createLimits({ db, redisUrl: config.REDIS_URL, box, log });
  const guesses = createGuessLimits(config, limits);
  const core: IdentityCore = {
    ...options,
    ...stored,
    baseUrl,
    tokens: createTokenScheme({ keys, config }),
    clock,
    box,
    keys,
    revocations,
    passwords: createPasswordHasher(),
    logins: createLoginGate(),
    limits,
    guesses,
    suspicion: createSuspicion(config, limits, guesses),
    proofs: createProofOfWork({ sql: db.sql, refusals: stored.refusals, box, clock, config }),
    jobs,
  };
  const authentication = createPrincipals(core, adminKey);
  return {
    ...authentication,
    async logIn(credentials, caller) {
      const loggedIn = await logInGuarded(core, credentials, caller);
      const { accessToken } = loggedIn.tokens;
      return { ...loggedIn, principal: await authentication.authenticate(accessToken, { ip: caller.ip }) };
    },
    sockets: revocations.sockets,
    deviceRequests: createDeviceRequests(core),
    jwks: () => keys.jwks(),
    revoke: (target, cause) => revoke(core, target, cause),
    keptMail: mailer.kept,
    adminKeyFile: adminKey.file,
    core,
    async close() {
      maintenance.close();
      revocations.close();
      await jobs.close();
      await limits.close();
      await stored.refusals.close();
      mailer.close();
    },
  };
}

/** What is done without being asked. Mail, seals and what is over are left to the nodes that know how they are meant. */
function startWork(
  options: IdentityOptions & Pick<IdentityCore, 'clock' | 'box' | 'keys'>,
  core: () => IdentityCore,
): { mailer: Mailer; jobs: Jobs; maintenance: { close(): void } } {
  const { db, box, keys, config, log, clock } = options;
  const isHome = servesIdentity(config);
  const mailer = createMailer(config, options.console ?? process.stdout, clock);
  const handlers = createHandlers(mailer, core);
  const jobs = startJobs({ db, box, log, clock, handlers, idle: !isHome });
  const maintenance = isHome
    ? startMaintenance({ db, box, keys, config, log, clock })
    : startKeyWatch({ keys, log });
  return { mailer, jobs, maintenance };
}

/** What the database says, remembered for some seconds. */
function createStates(
  deps: Pick<IdentityCore, 'db' | 'log' | 'clock'>,
): Pick<
  IdentityCore,
  'states' | 'apiKeys' | 'addressRules' | 'refusals' | 'clientLookUps' | 'clientSessions'
> {
  const { db, clock } = deps;
  const refusals = createRefusals(deps);
  return {
    refusals,
    states: createSessionStates(db.sql, clock),
    clientLookUps: createClientLookUps(db.sql, clock),
    clientSessions: createClientSessions(db.sql),
    apiKeys: createApiKeyStates(db.sql, clock),
    addressRules: createAddressRules({ db, refusals, clock }),
  };
}

async function openBox(config: Config): Promise<SecretBox> {
  const key = config.CONFIG_ENCRYPTION_KEY ?? (await readOrCreateSecret(dataPath(config, 'encryption.key')));
  return createSecretBox(key);
}

const resendPayload = z.object({ emailKey: z.string() });
const forgotPayload = resendPayload.extend({ tenantId: z.int() });

function createHandlers(mailer: Mailer, core: () => IdentityCore): Record<string, JobHandler> {
  return {
    [MAIL_JOB]: (payload) => mailer.send(mailShape.parse(payload)),
    [RESEND_JOB]: (payload) => resendVerification(core(), resendPayload.parse(payload).emailKey),
    [FORGOT_JOB]: (payload) => mailReset(core(), forgotPayload.parse(payload)),
  };
}

/** Who somebody is, by an access token of a session or by a key, which has none. */
function createPrincipals(
  core: IdentityCore,
  adminKey: AdminKey,
): Pick<Identity, 'authenticate' | 'inspect' | 'authenticateKey' | 'current' | 'standingOf'> {
  const sessions = createAuthentication(core);
  const keys = createApiKeyCheck(core);
  return {
    ...sessions,
    async authenticateKey(key, { tenantId = 1, caller = {}, onCount } = {}) {
      const principal = adminKey.find(key, tenantId);
      if (principal === undefined) {
        const found = await keys.authenticate(key, caller, onCount);
        await core.addressRules.requireAllowed(found.tenantId, caller);
        return found;
      }
      // the operator's own: it is the way back in for a tenant that has locked itself out
      await requireTenant(core.db.sql, tenantId);
      return principal;
    },
    current: (principal) =>
      principal.kind === 'api_key' ? keys.current(principal) : sessions.current(principal),
    async standingOf(principal) {
      if (principal.kind !== 'api_key') return sessions.standingOf(principal);
      if (isAdminKey(principal)) return undefined;
      return { role: API_KEY_ROLE, own: keys.rateOf(principal) };
    },
  };
}
