import { AppError } from '../../protocol/errors.ts';
import { hasScope, mayReadPartition, mayWritePartition } from './access.ts';
import { parseGrants } from './principal.ts';
import type { Principal } from './principal.ts';

/** Nobody hands out what they do not have: scopes and partitions of the giver bound those of the receiver (S54). */
export function requireMayGrant(
  giver: Principal,
  gift: { scopes?: readonly string[] | undefined; partitions?: readonly string[] | undefined },
): void {
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
