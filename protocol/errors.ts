import { z } from 'zod';

/** What a client should do after a refusal: give up, try again later, or authenticate first. */
export type RetryAdvice = 'never' | 'later' | 'auth';

interface ErrorEntry {
  /** HTTP status (RFC 9110). */
  status: number;
  retry: RetryAdvice;
  /** Default message: says what is wrong and what to do. */
  message: string;
}

/** Every refusal that a client can see, over HTTP or in an acknowledgement. docs/ERRORS.md is made from it. */
export const ERRORS = {
  // Input
  invalid_request: { status: 400, retry: 'never', message: 'The request is not valid: see `errors`.' },
  invalid_message: { status: 400, retry: 'never', message: 'The message does not parse: see its path.' },
  invalid_json: { status: 400, retry: 'never', message: 'The body is not JSON.' },
  unsupported_media_type: { status: 415, retry: 'never', message: 'Send the body as application/json.' },
  payload_too_large: { status: 413, retry: 'never', message: 'Too large: split it.' },
  route_not_found: { status: 404, retry: 'never', message: 'There is nothing at this address.' },
  method_not_allowed: { status: 405, retry: 'never', message: 'This address does not take that method.' },
  // Identity
  unauthenticated: {
    status: 401,
    retry: 'auth',
    message: 'Authenticate: send a bearer token or an API key.',
  },
  invalid_token: { status: 401, retry: 'auth', message: 'The token is not valid: get a new one.' },
  token_expired: { status: 401, retry: 'auth', message: 'The token has expired: refresh it.' },
  invalid_dpop_proof: {
    status: 401,
    retry: 'auth',
    message: 'The DPoP proof is missing, used, too old, or about something else: make a new one.',
  },
  use_dpop_nonce: { status: 401, retry: 'auth', message: 'Make the DPoP proof with the nonce given here.' },
  revoked: { status: 401, retry: 'auth', message: 'The session has been revoked: log in again.' },
  invalid_credentials: { status: 401, retry: 'never', message: 'The name or the password is wrong.' },
  mfa_required: {
    status: 401,
    retry: 'auth',
    message: 'The second factor is due: send it with the mfa_token to POST /api/login/mfa.',
  },
  passkey_refused: {
    status: 400,
    retry: 'never',
    message: 'The passkey was not accepted: begin again.',
  },
  reauthentication_required: {
    status: 401,
    retry: 'auth',
    message: 'Prove again who you are, with POST /api/reauthenticate.',
  },
  email_not_verified: { status: 403, retry: 'never', message: 'Verify the e-mail address first.' },
  invalid_code: {
    status: 400,
    retry: 'never',
    message: 'The code is wrong or has expired: ask for a new one.',
  },
  too_many_tries: { status: 429, retry: 'never', message: 'Too many wrong codes: ask for a new one.' },
  invalid_invitation: {
    status: 400,
    retry: 'never',
    message: 'The invitation is unknown, used, withdrawn or too old: ask for a new one.',
  },
  role_in_use: { status: 409, retry: 'never', message: 'Somebody has that role: give them another first.' },
  username_taken: { status: 409, retry: 'never', message: 'That username is taken: choose another.' },
  password_refused: { status: 400, retry: 'never', message: 'That password is too common: choose another.' },
  signup_closed: { status: 403, retry: 'never', message: 'Sign-up is closed: ask an administrator.' },
  origin_refused: {
    status: 403,
    retry: 'never',
    message:
      'This origin is not allowed: set PUBLIC_URL to the address in the browser, or name it in CORS_ORIGINS.',
  },
  forbidden: { status: 403, retry: 'never', message: 'You may not do this.' },
  forbidden_partition: { status: 403, retry: 'never', message: 'You may not see or write that partition.' },
  address_refused: {
    status: 403,
    retry: 'never',
    message: 'Your address may not be used here: ask an administrator.',
  },
  nothing_to_rotate: {
    status: 409,
    retry: 'never',
    message:
      'Tokens are signed with JWT_SECRET here, so there is no signing key to rotate: change JWT_SECRET, and keep the one before in JWT_SECRET_PREVIOUS for a while.',
  },
  ip_rule_exists: { status: 409, retry: 'never', message: 'There is a rule for that network already.' },
  would_lock_out: {
    status: 409,
    retry: 'never',
    message: 'This would keep out the address you come from: send `force: true` if that is meant.',
  },
  proof_of_work_required: {
    status: 428,
    retry: 'later',
    message: 'Solve the challenge given here and send the request again with the solution in `altcha`.',
  },
  rate_limited: { status: 429, retry: 'later', message: 'Too many requests: wait.' },
  // Sync protocol: the sequence number is not used up
  hello_required: { status: 409, retry: 'never', message: 'Send sync:hello first.' },
  unsupported_protocol: { status: 400, retry: 'never', message: 'This gateway speaks protocol 1.' },
  client_mismatch: {
    status: 403,
    retry: 'never',
    message: 'This clientId belongs to another principal: start with a new one.',
  },
  seq_gap: { status: 409, retry: 'never', message: 'A batch is missing: send from expectedSeq on.' },
  seq_reuse: { status: 409, retry: 'never', message: 'That seq or batchId was used for another batch.' },
  busy: { status: 503, retry: 'later', message: 'The queue is full: try again later.' },
  unavailable: { status: 503, retry: 'later', message: 'The database cannot be reached: try again later.' },
  slow_consumer: { status: 408, retry: 'later', message: 'Frames were not read in time: connect again.' },
  // Verdicts on a mutation: the sequence number is used up
  batch_refused: {
    status: 409,
    retry: 'never',
    message: 'Another mutation of the atomic batch was refused.',
  },
  invalid_mutation: { status: 400, retry: 'never', message: 'The mutation is not valid for its operation.' },
  unknown_collection: { status: 404, retry: 'never', message: 'There is no such collection.' },
  schema_violation: { status: 422, retry: 'never', message: 'The record does not fit its schema: see path.' },
  stale_version: { status: 409, retry: 'never', message: 'The record has changed: read it again.' },
  field_conflict: { status: 409, retry: 'never', message: 'Others changed the same fields.' },
  guard_failed: { status: 409, retry: 'never', message: 'The guard does not hold.' },
  illegal_transition: { status: 409, retry: 'never', message: 'That step is not allowed from this state.' },
  already_exists: { status: 409, retry: 'never', message: 'There is a record with that id already.' },
  not_found: { status: 404, retry: 'never', message: 'There is no such record.' },
  internal: { status: 500, retry: 'later', message: 'Something went wrong here; give the requestId.' },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** One fault of a request: where, and what is wrong there. */
export interface InputFault {
  path: string;
  message: string;
}

export interface AppErrorDetails {
  message?: string;
  /** Milliseconds after which a retry makes sense. */
  retryAfterMs?: number;
  /** The sequence number the gateway waits for, with `seq_gap`. */
  expectedSeq?: number;
  /** What the next DPoP proof has to carry, with `use_dpop_nonce`. */
  dpopNonce?: string;
  errors?: InputFault[];
  /** Further members of the HTTP answer, such as `mfa_token`. */
  members?: Record<string, unknown>;
  cause?: unknown;
}

/** An expected refusal. Everything else that is thrown becomes `internal` at the edge. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly details: AppErrorDetails;

  constructor(code: ErrorCode, details: AppErrorDetails = {}) {
    super(details.message ?? ERRORS[code].message, { cause: details.cause });
    this.name = 'AppError';
    this.code = code;
    this.details = details;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get retry(): RetryAdvice {
    return ERRORS[this.code].retry;
  }
}

/** The error of an acknowledgement with `ok: false`. */
export const wireError = z.object({
  code: z.string(),
  message: z.string(),
  retry: z.enum(['never', 'later', 'auth']),
  retryAfterMs: z.number().optional(),
  expectedSeq: z.number().optional(),
  dpopNonce: z.string().optional(),
  path: z.string().optional(),
});
export type WireError = z.infer<typeof wireError>;

/** Puts an AppError into the form an acknowledgement carries. */
export function toWireError(error: AppError): WireError {
  const { retryAfterMs, expectedSeq, dpopNonce, errors } = error.details;
  const path = errors?.[0]?.path;
  return {
    code: error.code,
    message: error.message,
    retry: error.retry,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(expectedSeq === undefined ? {} : { expectedSeq }),
    ...(dpopNonce === undefined ? {} : { dpopNonce }),
    ...(path === undefined ? {} : { path }),
  };
}

/** Reads the faults out of a failed zod parse, each with its dotted path. */
export function faultsOf(error: z.ZodError): InputFault[] {
  return error.issues.map((issue) => ({ path: issue.path.join('.'), message: issue.message }));
}
