export type TokenErrorCode =
  /** Not a token of this issuer for this audience, or no token at all. */
  | 'invalid_token'
  | 'token_expired'
  /** Its session has ended. */
  | 'revoked'
  /** It belongs to a tenant whose revocations are not read here. */
  | 'wrong_tenant'
  /** It is bound to a key, and nothing shows that the caller has it. */
  | 'proof_required'
  /** The keys, or the revocations, are not known well enough to say. */
  | 'unavailable';

/** Why a token is not taken. `unavailable` alone may pass by itself: answer it with 503, the others with 401. */
export class TokenError extends Error {
  readonly code: TokenErrorCode;

  constructor(code: TokenErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'TokenError';
    this.code = code;
  }
}
