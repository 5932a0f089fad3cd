import { ERRORS } from '../../protocol/errors.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Mutation, MutationResult } from '../../protocol/sync.ts';

/** What a mutation gets that is not carried out. */
export class Refused {
  readonly result: MutationResult;
  /** It names a version that is not allotted yet. */
  readonly pending: boolean;

  constructor(result: MutationResult, pending = false) {
    this.result = result;
    this.pending = pending;
  }
}

export function refuse(code: ErrorCode, path?: string, message?: string): Refused {
  return new Refused({
    status: 'rejected',
    code,
    message: message ?? ERRORS[code].message,
    ...(path === undefined ? {} : { path }),
  });
}

export function tooLarge(): Refused {
  return refuse('payload_too_large', '', 'The record is over 256 KiB.');
}

export function tooManyFields(): Refused {
  return refuse('payload_too_large', '', `The record has over ${LIMITS.recordFields} fields.`);
}

export function tooMuch({ collection, id }: Mutation): string {
  return `The records of the batch come to over 4 MiB with ${collection}/${id}: split it.`;
}
