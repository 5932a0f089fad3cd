import Router from '@koa/router';
import type { Context } from 'koa';
import { z } from 'zod';
import type { Identity } from '../auth/identity.ts';
import { askForMfaPasskey, finishLogin } from '../auth/mfa.ts';
import type { FactorProof } from '../auth/mfa.ts';
import { askToReauthenticate, reauthenticate } from '../auth/reauthenticate.ts';
import type { Proof } from '../auth/reauthenticate.ts';
import { renewRecoveryCodes } from '../auth/recovery-codes.ts';
import { findFactors } from '../auth/second-factors.ts';
import type { SessionPerson } from '../auth/second-factors.ts';
import { confirmTotp, disableTotp, enrolTotp } from '../auth/totp.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { FRESH_MS, requireFreshFactor, requireOwnSession } from '../middleware/fresh.ts';
import { callerOf, withBody } from '../middleware/input.ts';
import { showCounts } from '../middleware/rate-limit.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';
import { assertionInput } from './passkey-input.ts';
import { answerTokens, isWebRequest } from './web-session.ts';

interface MfaDeps {
  identity: Identity;
  limits: RateLimits;
}

// six digits, or a recovery code as it was typed
const code = z.string().min(6).max(30);
const mfaToken = z.string().max(200);
const nothing = z.strictObject({});
const loginInput = z.union([
  z.strictObject({ mfa_token: mfaToken, code }),
  z.strictObject({ mfa_token: mfaToken, passkey: assertionInput }),
]);
const proofInput = z.union([
  z.strictObject({ password: z.string().min(1).max(1_024) }),
  z.strictObject({ code }),
  z.strictObject({ challenge_id: z.uuid(), response: assertionInput }),
]);

/** The second step of a login, authenticator codes, recovery codes, and proving again who one is. */
export function mfaRoutes(deps: MfaDeps): Router {
  const router = new Router();
  addLogin(router, deps);
  addFactors(router, deps);
  addReauthentication(router, deps);
  return router;
}

/** The person at the session, as the functions of auth/ want them. */
export function personOf(ctx: Context): SessionPerson {
  const { tenantId, id: userId, sessionId } = principalOf(ctx);
  return { tenantId, userId, sessionId };
}

/** Nothing of what these routes answer may stay in a cache. */
export function answer(ctx: Context, body: Record<string, unknown>): void {
  ctx.set('Cache-Control', 'no-store');
  ctx.body = { success: true, ...body };
}

function addLogin(router: Router, { identity, limits }: MfaDeps): void {
  const { core } = identity;
  router.post(
    '/api/login/mfa',
    limits.anonymous,
    withBody(loginInput, async (ctx, input) => {
      const web = isWebRequest(identity, ctx);
      const proof: FactorProof = 'code' in input ? { code: input.code } : { assertion: input.passkey };
      const step = { mfaToken: input.mfa_token, proof };
      const { user, tokens } = await finishLogin(core, step, callerOf(ctx), showCounts(ctx));
      limits.authenticated(ctx);
      answer(ctx, { message: 'You are logged in.', user });
      answerTokens(identity, ctx, { web, tokens });
    }),
  );
  router.post(
    '/api/login/mfa/passkey-options',
    limits.anonymous,
    withBody(z.strictObject({ mfa_token: mfaToken }), async (ctx, input) => {
      const options = await askForMfaPasskey(core, input.mfa_token, callerOf(ctx));
      answer(ctx, { message: 'Sign this with a passkey.', options });
    }),
  );
}

function addFactors(router: Router, deps: MfaDeps): void {
  const { identity } = deps;
  const { core } = identity;
  const own = [requireAuth(deps), requireOwnSession(identity)];
  const fresh = [requireAuth(deps), requireFreshFactor(identity)];
  router.get('/api/mfa', ...own, async (ctx) => {
    const factors = await findFactors(core.db.sql, personOf(ctx));
    const { totp, passkeys, recoveryCodesLeft } = factors;
    answer(ctx, { totp, recovery_codes_left: recoveryCodesLeft, passkeys });
  });
  router.post(
    '/api/mfa/totp/enroll',
    ...fresh,
    withBody(nothing, async (ctx) => {
      const { secret, uri, qrSvg } = await enrolTotp(core, personOf(ctx), callerOf(ctx));
      const message = 'Show this to your app and confirm with a code of it.';
      answer(ctx, { message, secret, otpauth_uri: uri, qr_svg: qrSvg });
    }),
  );
  router.post(
    '/api/mfa/totp/confirm',
    ...fresh,
    withBody(z.strictObject({ code }), async (ctx, input) => {
      const codes = await confirmTotp(core, personOf(ctx), attemptOf(ctx, input.code));
      answer(ctx, { message: 'Codes are on. Keep the recovery codes safe.', recovery_codes: codes });
    }),
  );
  router.post(
    '/api/mfa/totp/disable',
    ...fresh,
    withBody(z.strictObject({ code }), async (ctx, input) => {
      await disableTotp(core, personOf(ctx), attemptOf(ctx, input.code));
      answer(ctx, { message: 'Codes are off.' });
    }),
  );
  router.post(
    '/api/mfa/recovery-codes',
    ...fresh,
    withBody(nothing, async (ctx) => {
      const codes = await renewRecoveryCodes(core, personOf(ctx), callerOf(ctx));
      answer(ctx, { message: 'The old recovery codes are void.', recovery_codes: codes });
    }),
  );
}

function addReauthentication(router: Router, deps: MfaDeps): void {
  const { identity } = deps;
  const { core } = identity;
  const own = [requireAuth(deps), requireOwnSession(identity)];
  router.post(
    '/api/reauthenticate',
    ...own,
    withBody(proofInput, async (ctx, input) => {
      const from = { caller: callerOf(ctx), onCount: showCounts(ctx) };
      const at = await reauthenticate(core, personOf(ctx), toProof(input), from);
      const until = new Date(at + FRESH_MS).toISOString();
      answer(ctx, { message: 'Thank you: go on.', fresh_until: until });
    }),
  );
  router.post(
    '/api/reauthenticate/options',
    ...own,
    withBody(nothing, async (ctx) => {
      const { challengeId, options } = await askToReauthenticate(core, personOf(ctx));
      answer(ctx, { message: 'Sign this with a passkey.', challenge_id: challengeId, options });
    }),
  );
}

function toProof(input: z.output<typeof proofInput>): Proof {
  return 'response' in input ? { assertion: input.response, challengeId: input.challenge_id } : input;
}

function attemptOf(ctx: Context, typed: string): Parameters<typeof confirmTotp>[2] {
  return { code: typed, caller: callerOf(ctx), onCount: showCounts(ctx) };
}
