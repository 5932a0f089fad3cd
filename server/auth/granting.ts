import { AppError } from '../../protocol/errors.ts';
import { hasScope, mayReadPartition, mayWritePartition } from './access.ts';
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
