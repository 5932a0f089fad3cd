import type { InputFault, RetryAdvice } from '../protocol/errors.ts';

export type SluiceErrorCode =
  | 'outbox_full'
  | 'payload_too_large'
  | 'invalid_batch'
  | 'store_failed'
  | 'store_in_use'
  | 'cursor_mismatch'
  | 'quarantined'
  | 'invalid_key'
  | 'timeout'
  | 'disconnected'
  | 'protocol'
  | 'closed';

/** A failure on this side of the wire. */
export class SluiceError extends Error {
  readonly code: SluiceErrorCode;

  constructor(code: SluiceErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'SluiceError';
    this.code = code;
  }
}

/** The gateway would not have the connection (`connect_error` with `data: {code}`). */
export class ConnectRefused extends Error {
  readonly code: string;
  readonly retryAfterMs: number | undefined;
  /** What the gateway says about trying again; undefined: look the code up. */
  readonly advice: RetryAdvice | undefined;

  constructor(
    code: string,
    message: string,
    details: { retryAfterMs?: number | undefined; advice?: RetryAdvice | undefined } = {},
  ) {
    super(message);
    this.name = 'ConnectRefused';
    this.code = code;
    this.retryAfterMs = details.retryAfterMs;
    this.advice = details.advice;
  }
}

export interface ApiErrorDetails {
  /** HTTP status; 0: no answer at all. */
  status: number;
  code: string;
  message: string;
  errors?: InputFault[] | undefined;
  retryAfterMs?: number | undefined;
  /** The whole answer, for members that only one refusal has (`mfa_token`). */
  extensions?: Record<string, unknown> | undefined;
  cause?: unknown;
}

/** A refusal over HTTP, read from problem+json (RFC 9457) or the OAuth form (RFC 6749, 5.2). */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: InputFault[];
  readonly retryAfterMs: number | undefined;
  readonly extensions: Record<string, unknown>;

  constructor(details: ApiErrorDetails) {
    super(details.message, { cause: details.cause });
    this.name = 'ApiError';
    this.status = details.status;
    this.code = details.code;
    this.errors = details.errors ?? [];
    this.retryAfterMs = details.retryAfterMs;
    this.extensions = details.extensions ?? {};
  }
}
