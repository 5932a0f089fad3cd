import Router from '@koa/router';
import { z } from 'zod';
import type { Identity } from '../auth/identity.ts';
import { askForPasskeyLogin, logInByPasskey } from '../auth/mfa.ts';
import { text } from '../auth/names.ts';
import {
  finishRegistration,
  listPasskeys,
  removePasskey,
  renamePasskey,
  startRegistration,
} from '../auth/passkeys.ts';
import type { PasskeyView } from '../auth/passkeys.ts';
import { requireAuth } from '../middleware/authenticate.ts';
import { requireFreshFactor, requireOwnSession } from '../middleware/fresh.ts';
import { callerOf, paramOf, parseInput, withBody } from '../middleware/input.ts';
import { showCounts } from '../middleware/rate-limit.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';
import { answer, personOf } from './mfa.ts';
import { assertionInput, registrationInput } from './passkey-input.ts';
import { answerTokens, isWebRequest } from './web-session.ts';

interface PasskeyDeps {
  identity: Identity;
  limits: RateLimits;
}

const name = text.trim().min(1).max(100);
const nothing = z.strictObject({});
const tenantId = z.int().positive().max(2_147_483_647).optional();
const loginInput = z.strictObject({
  challenge_id: z.uuid(),
  response: assertionInput,
  app: text.max(100).optional(),
  tenant_id: tenantId,
});

/** Passkeys (WebAuthn): logging in with one, and a person's own. */
export function passkeyRoutes(deps: PasskeyDeps): Router {
  const router = new Router();
  addLogin(router, deps);
  addRegistration(router, deps);
  addOwn(router, deps);
  return router;
}

function addLogin(router: Router, { identity, limits }: PasskeyDeps): void {
  const { core } = identity;
  router.post(
    '/api/passkeys/login-options',
    limits.anonymous,
    withBody(z.strictObject({ tenant_id: tenantId }), async (ctx, input) => {
      const { challengeId, options } = await askForPasskeyLogin(core, input.tenant_id);
      answer(ctx, { message: 'Sign this with a passkey.', challenge_id: challengeId, options });
    }),
  );
  router.post(
    '/api/passkeys/login',
    limits.anonymous,
    withBody(loginInput, async (ctx, input) => {
      const web = isWebRequest(identity, ctx);
      const signed = {
        challengeId: input.challenge_id,
        assertion: input.response,
        app: input.app,
        tenantId: input.tenant_id,
      };
      const { user, tokens } = await logInByPasskey(core, signed, callerOf(ctx), showCounts(ctx));
      limits.authenticated(ctx);
      answer(ctx, { message: 'You are logged in.', user });
      answerTokens(identity, ctx, { web, tokens });
    }),
  );
}

function addRegistration(router: Router, deps: PasskeyDeps): void {
  const { identity } = deps;
  const { core } = identity;
  router.post(
    '/api/passkeys/register-options',
    requireAuth(deps),
    requireFreshFactor(identity),
    withBody(nothing, async (ctx) => {
      const options = await startRegistration(core, personOf(ctx));
      answer(ctx, { message: 'Make a passkey of this.', options });
    }),
  );
  router.post(
    '/api/passkeys/register',
    requireAuth(deps),
    requireFreshFactor(identity),
    withBody(z.strictObject({ response: registrationInput, name }), async (ctx, input) => {
      const made = { registration: input.response, name: input.name };
      const { passkey, recoveryCodes } = await finishRegistration(core, personOf(ctx), made, callerOf(ctx));
      ctx.status = 201;
      answer(ctx, {
        message: 'The passkey is yours.',
        passkey: toJson(passkey),
        ...(recoveryCodes === undefined ? {} : { recovery_codes: recoveryCodes }),
      });
    }),
  );
}

function addOwn(router: Router, deps: PasskeyDeps): void {
  const { identity } = deps;
  const { core } = identity;
  router.get('/api/passkeys', requireAuth(deps), requireOwnSession(identity), async (ctx) => {
    answer(ctx, { passkeys: (await listPasskeys(core, personOf(ctx))).map(toJson) });
  });
  router.patch(
    '/api/passkeys/:id',
    requireAuth(deps),
    requireOwnSession(identity),
    withBody(z.strictObject({ name }), async (ctx, input) => {
      const id = parseInput(z.uuid(), paramOf(ctx, 'id'));
      await renamePasskey(core, personOf(ctx), { id, name: input.name }, callerOf(ctx));
      answer(ctx, { message: 'The passkey has another name.' });
    }),
  );
  router.delete('/api/passkeys/:id', requireAuth(deps), requireFreshFactor(identity), async (ctx) => {
    const id = parseInput(z.uuid(), paramOf(ctx, 'id'));
    await removePasskey(core, personOf(ctx), id, callerOf(ctx));
    answer(ctx, { message: 'The passkey is gone.' });
  });
}

function toJson(passkey: PasskeyView): Record<string, unknown> {
  return {
    id: passkey.id,
    name: passkey.name,
    created_at: passkey.createdAt.toISOString(),
    last_used_at: passkey.lastUsedAt?.toISOString() ?? null,
    backed_up: passkey.backedUp,
  };
}
