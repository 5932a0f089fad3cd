import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { z } from 'zod';
import { AppError } from '../../protocol/errors.ts';
import { changeKey, createKey, listKeys, revokeKey, rotateKey } from '../auth/api-keys.ts';
import type { KeyView, NewKey } from '../auth/api-keys.ts';
import type { IdentityCore } from '../auth/core.ts';
import type { Identity } from '../auth/identity.ts';
import { changeOwner, createOwner, listOwners, OWNER_TYPES } from '../auth/key-owners.ts';
import { grant, moment, scope, text } from '../auth/names.ts';
import { rotateSigningKey } from '../auth/signing-keys.ts';
import { principalOf, requireAuth } from '../middleware/authenticate.ts';
import { requireFreshOfPeople } from '../middleware/fresh.ts';
import { callerOf, paramOf, parseInput, withBody, withQuery } from '../middleware/input.ts';
import type { RateLimits } from '../middleware/rate-limit.ts';
import { pageInput, paginate } from './paging.ts';

interface KeyDeps {
  identity: Identity;
  limits: RateLimits;
}

/** What older programs of this table call two of the scopes. */
const OTHER_NAMES: Record<string, string> = { read: 'sync:read', write: 'sync:write' };

const permission = z.preprocess(
  (name) => (typeof name === 'string' && Object.hasOwn(OTHER_NAMES, name) ? OTHER_NAMES[name] : name),
  scope,
);
const permissions = z
  .array(permission)
  .min(1)
  .max(100)
  .transform((names) => [...new Set(names)]);
const partitions = z.array(grant).max(1_000);
const rateLimit = z.int().positive().max(1_000_000).nullable();
const expiresAt = moment.nullable();

const creation = z.strictObject({
  clientId: z.uuid(),
  permissions,
  partitions: partitions.default([]),
  rateLimit: rateLimit.default(null),
  expiresAt: expiresAt.default(null),
});
const changes = z.strictObject({
  permissions: permissions.optional(),
  partitions: partitions.optional(),
  rateLimit: rateLimit.optional(),
  expiresAt: expiresAt.optional(),
  isActive: z.boolean().optional(),
});
const DAY_SECONDS = 86_400;
const rotation = z.strictObject({
  overlapSeconds: z
    .int()
    .min(0)
    .max(90 * DAY_SECONDS)
    .default(DAY_SECONDS),
});
const signingRotation = z.strictObject({ immediately: z.boolean().default(false) });
const ownerName = text.trim().min(1).max(255);
const owner = z.strictObject({ name: ownerName, clientType: z.enum(OWNER_TYPES) });
const ownerChanges = z.strictObject({ name: ownerName.optional(), isActive: z.boolean().optional() });
const keyPage = pageInput.extend({ clientId: z.uuid().optional() });

/** API keys and their owners (CONTRACT, "Anonymous devices and API keys"); every answer is `{success, message, data}`. */
export function adminKeyRoutes(deps: KeyDeps): Router {
  const router = new Router({ prefix: '/api/v1/admin' });
  const read = requireAuth(deps, { scope: 'admin' });
  const end = [read, countOperation(deps)];
  const write = [read, requireFreshOfPeople(deps.identity), countOperation(deps)];
  addSigningKey(router, deps.identity.core, write);
  addKeys(router, deps.identity.core, { read, write });
  addKeyEnds(router, deps.identity.core, { end, write });
  addOwners(router, deps.identity.core, { read, write });
  return router;
}

/** The key that access tokens are signed with, beside those that callers come with. */
function addSigningKey(router: Router, core: IdentityCore, write: Middleware[]): void {
  router.post(
    '/keys/rotate-signing',
    ...write,
    withBody(signingRotation, async (ctx, input) => {
      const { made, ...key } = await rotateSigningKey(core, principalOf(ctx), input, callerOf(ctx));
      ctx.status = made ? 201 : 200;
      const message =
        key.state === 'active'
          ? 'The new signing key signs from now on.'
          : 'The new signing key is published, and signs when everybody may have it.';
      answer(ctx, message, key);
    }),
  );
}

interface Guards {
  read: Middleware;
  write: Middleware[];
}

function addKeys(router: Router, core: IdentityCore, { read, write }: Guards): void {
  router.post(
    '/keys/create',
    ...write,
    withBody(creation, async (ctx, input) => {
      requireFuture(core, input.expiresAt);
      const made = await createKey(core, principalOf(ctx), input, callerOf(ctx));
      ctx.status = 201;
      answerNewKey(ctx, 'The API key is made. It is shown this once.', made);
    }),
  );
  router.get(
    '/keys/list',
    read,
    withQuery(keyPage, async (ctx, page) => {
      const { keys, total } = await listKeys(core, principalOf(ctx).tenantId, page);
      const { page: number, limit } = page;
      const pagination = paginate({ page: number, limit }, total);
      answer(ctx, 'These are the API keys.', { apiKeys: keys.map(toWire), pagination });
    }),
  );
  router.put(
    '/keys/:id/update',
    ...write,
    withBody(changes, async (ctx, input) => {
      requireFuture(core, input.expiresAt);
      const view = await changeKey(core, principalOf(ctx), { id: idOf(ctx), changes: input }, callerOf(ctx));
      answer(ctx, 'The API key is changed.', toWire(view));
    }),
  );
}

/** A key that was stolen is ended without looking for a password first. */
function addKeyEnds(
  router: Router,
  core: IdentityCore,
  { end, write }: { end: Middleware[]; write: Middleware[] },
): void {
  router.post(
    '/keys/:id/rotate',
    ...write,
    withBody(rotation, async (ctx, { overlapSeconds }) => {
      const by = principalOf(ctx);
      const made = await rotateKey(core, by, { id: idOf(ctx), overlapSeconds }, callerOf(ctx));
      ctx.status = 201;
      answerNewKey(ctx, 'The API key has a new secret. It is shown this once.', made);
    }),
  );
  router.delete('/keys/:id/revoke', ...end, async (ctx) => {
    const view = await revokeKey(core, principalOf(ctx), idOf(ctx), callerOf(ctx));
    answer(ctx, 'The API key is revoked.', toWire(view));
  });
}

function addOwners(router: Router, core: IdentityCore, { read, write }: Guards): void {
  router.post(
    '/clients',
    ...write,
    withBody(owner, async (ctx, input) => {
      const made = await createOwner(core, principalOf(ctx), input, callerOf(ctx));
      ctx.status = 201;
      answer(ctx, 'The client is made.', made);
    }),
  );
  router.get(
    '/clients',
    read,
    withQuery(pageInput, async (ctx, page) => {
      const { owners, total } = await listOwners(core, principalOf(ctx).tenantId, page);
      answer(ctx, 'These are the clients.', { clients: owners, pagination: paginate(page, total) });
    }),
  );
  router.put(
    '/clients/:id',
    ...write,
    withBody(ownerChanges, async (ctx, input) => {
      const change = { id: idOf(ctx), changes: input };
      answer(ctx, 'The client is changed.', await changeOwner(core, principalOf(ctx), change, callerOf(ctx)));
    }),
  );
}

/** Counts what makes or changes keys, by who does it. */
function countOperation({ identity, limits }: KeyDeps): Middleware {
  return async (ctx, next) => {
    const by = principalOf(ctx);
    await limits.consumeKeyOperation(ctx, by, await identity.standingOf(by));
    await next();
  };
}

function requireFuture(core: IdentityCore, moment: Date | null | undefined): void {
  if (moment === null || moment === undefined || moment.getTime() > core.clock()) return;
  const errors = [{ path: 'expiresAt', message: 'a time to come' }];
  throw new AppError('invalid_request', { errors });
}

function idOf(ctx: Context): string {
  return parseInput(z.uuid(), paramOf(ctx, 'id'));
}

function answerNewKey(ctx: Context, message: string, { apiKey, key }: NewKey): void {
  ctx.set('Cache-Control', 'no-store');
  answer(ctx, message, { ...toWire(key), apiKey });
}

function toWire(key: KeyView): Record<string, unknown> {
  return {
    id: key.id,
    clientId: key.clientId,
    clientName: key.clientName,
    clientType: key.clientType,
    prefixes: key.prefixes.map(({ prefix, expiresAt: end }) => ({
      prefix,
      expiresAt: end === null ? null : new Date(end),
    })),
    permissions: key.permissions,
    partitions: key.partitions,
    rateLimit: key.rateLimit,
    expiresAt: key.expiresAt,
    isActive: key.isActive,
    revokedAt: key.revokedAt,
    lastUsedAt: key.lastUsedAt,
    createdAt: key.createdAt,
    updatedAt: key.updatedAt,
  };
}

function answer(ctx: Context, message: string, data: object): void {
  ctx.body = { success: true, message, data };
}
