import { AppError } from '../../protocol/errors.ts';
import { appendAudit } from '../audit.ts';
import type { AuditEvent } from '../audit.ts';
import type { Database } from '../db.ts';
import type { Logger } from '../log.ts';
import type { AccessClaims } from './access-token.ts';
import { networkOf } from './addresses.ts';
import type { Clock } from './clock.ts';
import type { IdentityCore } from './core.ts';
import type { Presented } from './possession.ts';
import { principalKey } from './principal.ts';

/**
 * The audit rows of refusals that change nothing, which whoever is refused can repeat without end (S61): one a minute of each kind,
 * for each principal and network.
 */
export interface Refusals {
  /** `about`: what else makes it another kind. It is not waited for: the caller may hold a connection, and there are only so many. */
  note(event: Omit<AuditEvent, 'success'>, about?: string): void;
  /** Waits for what is being written. */
  close(): Promise<void>;
}

const TOLD_EVERY_MS = 60_000;
const MAX_REMEMBERED = 10_000;

export function createRefusals(deps: { db: Pick<Database, 'sql'>; log: Logger; clock: Clock }): Refusals {
  const { db, log, clock } = deps;
  const isDue = createReminder(clock);
  const writing = new Set<Promise<void>>();
  return {
    note(event, about = '') {
      const { tenantId, action, code, principal, ip } = event;
      if (!isDue(JSON.stringify([tenantId, action, code, principal, networkOf(ip ?? ''), about]))) return;
      const written = appendAudit(db.sql, { ...event, success: false }).catch((error: unknown) => {
        const err = error instanceof Error ? error.message : String(error);
        log.warn({ err, action }, 'a refusal could not be noted');
      });
      writing.add(written);
      void written.then(() => writing.delete(written));
    },
    async close() {
      await Promise.all(writing);
    },
  };
}

/** Says yes once in a while for each key. */
function createReminder(clock: Clock): (key: string) => boolean {
  const last = new Map<string, number>();
  return (key) => {
    const now = clock();
    if (now - (last.get(key) ?? 0) < TOLD_EVERY_MS) return false;
    last.delete(key);
    if (last.size >= MAX_REMEMBERED) last.delete(last.keys().next().value ?? '');
    last.set(key, now);
    return true;
  };
}

/** A token that is ours, in the wrong hands: after its session's end, from elsewhere, without its key or with a proof that was used. */
const WRONG_HANDS = new Set(['revoked', 'forbidden', 'invalid_dpop_proof']);

/** Notes that an access token of ours was refused. */
export async function noteTokenRefusal(
  core: IdentityCore,
  claims: AccessClaims,
  { from, error }: { from: Presented | undefined; error: unknown },
): Promise<void> {
  if (!(error instanceof AppError) || !WRONG_HANDS.has(error.code)) return;
  const state = await core.states.load(claims.tid, claims.sid).catch(() => undefined);
  const shown = from?.dpop === undefined ? 'bearer' : 'dpop';
  core.refusals.note(
    {
      tenantId: claims.tid,
      action: 'token.refused',
      principal: state === undefined ? null : principalKey(state),
      code: error.code,
      ip: from?.ip,
      requestId: from?.requestId,
      details: { session: claims.sid, shown },
    },
    shown,
  );
}
