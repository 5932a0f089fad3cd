import type { Config } from '../config.ts';
import type { Database } from '../db.ts';
import type { Gate } from '../gate.ts';
import type { Hints } from '../hints.ts';
import type { Jobs } from '../jobs.ts';
import type { Logger } from '../log.ts';
import type { TokenScheme } from './access-token.ts';
import type { Limits } from '../limits/limits.ts';
import type { AddressRules } from './address-rules.ts';
import type { ApiKeyStates } from './api-key-states.ts';
import type { ClientLookUps } from './client-grants.ts';
import type { ClientSessions } from './client-sessions.ts';
import type { Clock } from './clock.ts';
import type { GuessLimits } from './guess-limits.ts';
import type { KeyRing } from './key-ring.ts';
import type { PasswordHasher } from './passwords.ts';
import type { ProofOfWork } from './proof-of-work.ts';
import type { Refusals } from './refusals.ts';
import type { Revocations } from './revocations.ts';
import type { SecretBox } from './secret-box.ts';
import type { SessionStates } from './session-states.ts';
import type { Suspicion } from './suspicion.ts';

/** What every identity function works with; made once by `startIdentity`. */
export interface IdentityCore {
  db: Database;
  config: Config;
  log: Logger;
  hints: Hints;
  /** `iss` of tokens and base of mailed links: from configuration, never from a request (S32). */
  issuer: () => string;
  /** Where this process is reached: the issuer, unless that is another one (ROLE=foundation). */
  baseUrl: () => string;
  /** What access tokens are signed and checked with: one way alone. */
  tokens: TokenScheme;
  /** Epoch milliseconds. */
  clock: Clock;
  box: SecretBox;
  keys: KeyRing;
  states: SessionStates;
  clientLookUps: ClientLookUps;
  clientSessions: ClientSessions;
  apiKeys: ApiKeyStates;
  revocations: Revocations;
  passwords: PasswordHasher;
  /** Lets few logins in at a time, so that a morning's worth of them at once does not hold up sync. */
  logins: Gate;
  limits: Limits;
  guesses: GuessLimits;
  suspicion: Suspicion;
  proofs: ProofOfWork;
  addressRules: AddressRules;
  refusals: Refusals;
  jobs: Jobs;
}

/** Where a request came from, for sessions and audit rows. */
export interface Caller {
  ip?: string | undefined;
  userAgent?: string | undefined;
  requestId?: string | undefined;
}

/** The tenant people sign up to and log in to. */
export const PEOPLE_TENANT = 1;
