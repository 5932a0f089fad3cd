import type { Middleware } from 'koa';
import { AppError } from '../../protocol/errors.ts';
import type { Identity } from '../auth/identity.ts';
import { findFactors, methodsOf, provesSecondFactor } from '../auth/second-factors.ts';
import { principalOf } from './authenticate.ts';

/** How long the proof of who somebody is stands for a dangerous act (S38). */
export const FRESH_MS = 10 * 60_000;

/**
 * For what a stolen access token alone must not do: the person has proved who they are within the last ten minutes. Comes
 * after `requireAuth`. Throws `reauthentication_required` with the `methods` that do; `forbidden` to what is not a person.
 */
export function requireFresh({ core }: Identity): Middleware {
  return async (ctx, next) => {
    const { kind, tenantId, sessionId, id: userId } = principalOf(ctx);
    if (kind !== 'user') throw new AppError('forbidden', { message: 'Only a person may do this.' });
    const state = await core.states.load(tenantId, sessionId);
    if (state === undefined || core.clock() - state.authenticatedAt > FRESH_MS) {
      const methods = methodsOf(await findFactors(core.db.sql, { tenantId, userId }));
      throw new AppError('reauthentication_required', { members: { methods: ['password', ...methods] } });
    }
    await next();
  };
}

/** The same for acts that programs do too: a key, or a client with its secret, is its own proof. */
export function requireFreshOfPeople(identity: Identity): Middleware {
  const isFresh = requireFresh(identity);
  return async (ctx, next) => {
    if (principalOf(ctx).kind === 'user') await isFresh(ctx, next);
    else await next();
  };
}

/**
 * The same, proved by one of the person's second factors where there is one: for second factors, also those of others. A stolen
 * token and the password are not enough. Comes after `requireAuth`. Throws `reauthentication_required` with the `methods` that do;
 * `forbidden` to what is not a person.
 */
export function requireFreshProof({ core }: Identity): Middleware {
  return async (ctx, next) => {
    const { kind, tenantId, sessionId, id: userId } = principalOf(ctx);
    if (kind !== 'user') throw new AppError('forbidden', { message: 'Only a person may do this.' });
    const state = await core.states.load(tenantId, sessionId);
    const methods = methodsOf(await findFactors(core.db.sql, { tenantId, userId }));
    const proved = methods.length === 0 || provesSecondFactor(state?.amr ?? []);
    if (state === undefined || !proved || core.clock() - state.authenticatedAt > FRESH_MS) {
      throw new AppError('reauthentication_required', {
        members: { methods: methods.length === 0 ? ['password'] : methods },
      });
    }
    await next();
  };
}

/** For changes of one's own second factors: a fresh proof, at a session of one's own. */
export function requireFreshFactor(identity: Identity): Middleware {
  const isOwn = requireOwnSession(identity);
  const isFresh = requireFreshProof(identity);
  return async (ctx, next) => {
    await isOwn(ctx, async () => {
      await isFresh(ctx, next);
    });
  };
}

/** For what a person alone may do, at a session of the gateway's own pages: none that was lent to an OAuth client. */
export function requireOwnSession({ core }: Identity): Middleware {
  return async (ctx, next) => {
    const { kind, tenantId, sessionId } = principalOf(ctx);
    const state = kind === 'user' ? await core.states.load(tenantId, sessionId) : undefined;
    if (state?.clientId !== null)
      throw new AppError('forbidden', { message: 'Only a person may do this, at a login of their own.' });
    await next();
  };
}
