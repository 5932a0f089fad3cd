import { randomUUID } from 'node:crypto';
import { AppError } from '../../protocol/errors.ts';
import type { Sql } from '../db.ts';
import { auditAct } from './audit-act.ts';
import { createRuleCheck } from './address-rules.ts';
import type { AddressRule } from './address-rules.ts';
import type { Caller, IdentityCore } from './core.ts';
import { networkIn } from './ip-allow-list.ts';
import { principalKey } from './principal.ts';
import type { Principal } from './principal.ts';

/** An address rule as administrators see it. */
export interface IpRule extends AddressRule {
  id: string;
  note: string | null;
  createdBy: string;
  createdAt: Date;
}

export interface NewIpRule extends AddressRule {
  note?: string | undefined;
  /** Whoever makes the rule means to keep out the address they come from. */
  force?: boolean | undefined;
}

/** Rules of one tenant: each is looked at for each tenant once in a few seconds. */
const MOST_RULES = 1_000;

export async function listIpRules(core: IdentityCore, tenantId: number): Promise<IpRule[]> {
  return core.db.sql<IpRule>(
    `SELECT id, cidr, action, note, created_by AS "createdBy", created_at AS "createdAt" FROM ip_rules
     WHERE tenant_id = $1 ORDER BY created_at, id`,
    [tenantId],
  );
}

/** It counts at once, on open sockets too. Throws `ip_rule_exists`, `would_lock_out`, `invalid_request`. */
export async function addIpRule(
  core: IdentityCore,
  admin: Principal,
  rule: NewIpRule,
  caller: Caller,
): Promise<IpRule> {
  const { tenantId } = admin;
  const cidr = networkIn(rule.cidr);
  const made: IpRule = {
    id: randomUUID(),
    cidr,
    action: rule.action,
    note: rule.note ?? null,
    createdBy: principalKey(admin),
    createdAt: new Date(core.clock()),
  };
  await core.db.transaction(async ({ sql }) => {
    const rules = await lockRules(sql, tenantId);
    if (rules.length >= MOST_RULES) {
      throw new AppError('invalid_request', { message: `A tenant has ${MOST_RULES} rules at the most.` });
    }
    if (rules.some((known) => known.cidr === cidr)) throw new AppError('ip_rule_exists');
    requireWayIn([...rules, made], { caller, force: rule.force });
    await sql(
      `INSERT INTO ip_rules (tenant_id, id, cidr, action, note, created_by, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7)`,
      [tenantId, made.id, cidr, made.action, made.note, made.createdBy, made.createdAt],
    );
    await noteChange(sql, { action: 'ip_rule.created', rule: made, admin }, caller);
  });
  core.revocations.announceAddresses(tenantId);
  return made;
}

/** Throws `not_found`, `would_lock_out`. */
export async function deleteIpRule(
  core: IdentityCore,
  admin: Principal,
  { id, force }: { id: string; force?: boolean | undefined },
  caller: Caller,
): Promise<void> {
  const { tenantId } = admin;
  await core.db.transaction(async ({ sql }) => {
    const rules = await lockRules(sql, tenantId);
    const rule = rules.find((known) => known.id === id);
    if (rule === undefined) throw new AppError('not_found', { message: 'There is no such rule.' });
    requireWayIn(
      rules.filter((known) => known !== rule),
      { caller, force },
    );
    await sql('DELETE FROM ip_rules WHERE tenant_id = $1 AND id = $2', [tenantId, id]);
    await noteChange(sql, { action: 'ip_rule.deleted', rule, admin }, caller);
  });
  core.revocations.announceAddresses(tenantId);
}

type StoredRule = AddressRule & { id: string };

/** One change at a time: what two at once leave must have a way in as well. */
async function lockRules(sql: Sql, tenantId: number): Promise<StoredRule[]> {
  await sql('UPDATE tenants SET ip_rules_changed_at = clock_timestamp() WHERE id = $1', [tenantId]);
  return sql<StoredRule>('SELECT id, cidr, action FROM ip_rules WHERE tenant_id = $1', [tenantId]);
}

/** Nobody saws off the branch they sit on by mistake. */
function requireWayIn(
  rules: readonly AddressRule[],
  { caller, force }: { caller: Caller; force: boolean | undefined },
): void {
  if (force === true || createRuleCheck(rules)(caller.ip)) return;
  throw new AppError('would_lock_out');
}

async function noteChange(
  sql: Sql,
  change: { action: string; rule: StoredRule; admin: Principal },
  caller: Caller,
): Promise<void> {
  const { id, cidr, action } = change.rule;
  await auditAct(sql, change.admin, caller, { action: change.action, details: { rule: id, cidr, action } });
}
