import { AppError } from '../../protocol/errors.ts';
import { hasScope, mayReadPartition, mayWritePartition } from './access.ts';
import { networkIn } from './ip-allow-list.ts';
import { parseGrants } from './principal.ts';
import type { Principal } from './principal.ts';

/** What somebody holds or is to receive. */
export interface Holdings {
  scopes?: readonly string[] | undefined;
  partitions?: readonly string[] | undefined;
}

/** Nobody hands out what they do not have: scopes and partitions of the giver bound those of the receiver (S54). */
export function requireMayGrant(giver: Principal, gift: Holdings): void {
  const scope = gift.scopes?.find((name) => !hasScope(giver, name));
  if (scope !== undefined)
    throw new AppError('forbidden', { message: `You may not grant the scope ${scope}.` });
  const wanted = parseGrants(gift.partitions ?? []);
  const partition =
    [...wanted.read].find((name) => !mayReadPartition(giver, name)) ??
    [...wanted.write].find((name) => !mayWritePartition(giver, name));
  if (partition !== undefined) {
    throw new AppError('forbidden_partition', { message: `You may not grant the partition ${partition}.` });
  }
}

/**
 * Whoever controls an account or a client could act as it (a new secret, a role, an end to its sessions): the target must hold
 * nothing that the controller does not (S54). Throws `forbidden`, `forbidden_partition`.
 */
export function requireMayControl(controller: Principal, target: Holdings): void {
  try {
    requireMayGrant(controller, target);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    throw new AppError(error.code, { message: 'The target holds rights that you do not have.' });
  }
}

/** What bounds the use of a credential. */
export interface Bounds {
  expiresAt?: Date | null | undefined;
  /** Requests in some window; null: no limit of its own. */
  rate?: number | null | undefined;
  ipAllowList?: readonly string[] | undefined;
  dpopBound?: boolean | undefined;
}

/**
 * A credential may tighten what bounds its own use, and loosens none of it: others have bounded it so (S54). What is left out of `next`
 * stays. Throws `forbidden`.
 */
export function requireNoLoosening(
  by: Principal,
  target: Pick<Principal, 'kind' | 'id'>,
  { before, next }: { before: Bounds; next: Bounds },
): void {
  if (by.kind !== target.kind || by.id !== target.id) return;
  const isLooser =
    isMore(before.expiresAt, next.expiresAt) ||
    isMore(before.rate, next.rate) ||
    (before.dpopBound === true && next.dpopBound === false) ||
    !isWithin(next.ipAllowList, before.ipAllowList);
  if (isLooser) throw new AppError('forbidden', { message: 'What bounds you is loosened by somebody else.' });
}

type Bound = Date | number | null | undefined;

/** null: there is no bound; undefined: nothing is said of it. */
function isMore(before: Bound, next: Bound): boolean {
  if (before === undefined || before === null || next === undefined) return false;
  return next === null || next > before;
}

/** An empty list lets every address in. */
function isWithin(list: readonly string[] | undefined, before: readonly string[] = []): boolean {
  if (list === undefined || before.length === 0) return true;
  const allowed = new Set(before.map(networkIn));
  return list.length > 0 && list.every((entry) => allowed.has(networkIn(entry)));
}
