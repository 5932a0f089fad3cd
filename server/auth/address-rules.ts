import { isIP } from 'node:net';
import { AppError } from '../../protocol/errors.ts';
import { isUnavailable } from '../db.ts';
import type { Database, Sql } from '../db.ts';
import type { Caller } from './core.ts';
import { createAddressCheck } from './ip-allow-list.ts';
import type { Refusals } from './refusals.ts';

export interface AddressRule {
  cidr: string;
  action: 'allow' | 'deny';
}

/**
 * Which addresses a tenant lets in. What is denied stays out, whatever else is said of it; once there is a rule that allows,
 * only what is allowed comes in. Asked wherever somebody logs in, gets a token or uses one, over HTTP and on sockets.
 */
export interface AddressRules {
  /**
   * Throws `address_refused`, `unavailable`. `sql`: the caller's open transaction. At most TTL_MS old, and at once after a change
   * on this node.
   */
  requireAllowed(tenantId: number, caller: Pick<Caller, 'ip' | 'requestId'>, sql?: Sql): Promise<void>;
  forget(tenantId: number): void;
}

type Check = (address: string | undefined) => boolean;

/** Changes are announced and polled; this bounds the staleness should both be lost (P7). */
const TTL_MS = 5_000;
const MAX_CACHED = 10_000;

/** Whether these rules let an address in; without rules every one, known or not. What is no address is let in by no rule. */
export function createRuleCheck(rules: readonly AddressRule[]): Check {
  const listOf = (action: AddressRule['action']): string[] =>
    rules.filter((rule) => rule.action === action).map(({ cidr }) => cidr);
  const [allowed, denied] = [listOf('allow'), listOf('deny')];
  const isAllowed = createAddressCheck(allowed);
  const isDenied = denied.length === 0 ? () => false : createAddressCheck(denied);
  return (address) => {
    if (address === undefined || isIP(address) === 0) return rules.length === 0;
    return isAllowed(address) && !isDenied(address);
  };
}

export function createAddressRules(deps: {
  db: Database;
  refusals: Pick<Refusals, 'note'>;
  clock: () => number;
}): AddressRules {
  const { db, refusals, clock } = deps;
  const entries = new Map<number, { check: Promise<Check>; until: number }>();
  const load = (tenantId: number, sql: Sql): Promise<Check> => {
    const known = entries.get(tenantId);
    if (known !== undefined && known.until > clock()) return known.check;
    const check = findCheck(sql, tenantId);
    const entry = { check, until: clock() + TTL_MS };
    entries.delete(tenantId);
    if (entries.size >= MAX_CACHED) entries.delete(entries.keys().next().value ?? 0);
    entries.set(tenantId, entry);
    check.catch(() => {
      if (entries.get(tenantId) === entry) entries.delete(tenantId);
    });
    return check;
  };
  const tell = (tenantId: number, caller: Pick<Caller, 'ip' | 'requestId'>): void =>
    refusals.note({
      tenantId,
      action: 'address.refused',
      principal: null,
      code: 'address_refused',
      ip: caller.ip,
      requestId: caller.requestId,
    });
  return {
    async requireAllowed(tenantId, caller, sql = db.sql) {
      const check = await load(tenantId, sql);
      if (check(caller.ip)) return;
      tell(tenantId, caller);
      throw new AppError('address_refused');
    },
    forget: (tenantId) => void entries.delete(tenantId),
  };
}

async function findCheck(sql: Sql, tenantId: number): Promise<Check> {
  try {
    return createRuleCheck(
      await sql<AddressRule>('SELECT cidr, action FROM ip_rules WHERE tenant_id = $1', [tenantId]),
    );
  } catch (error) {
    throw isUnavailable(error) ? new AppError('unavailable', { cause: error }) : error;
  }
}
