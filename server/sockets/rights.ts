import { AppError } from '../../protocol/errors.ts';
import { principalKey } from '../auth/principal.ts';
import type { Principal } from '../auth/principal.ts';
import { toAppError } from '../errors.ts';

/** Who a connection is, with the rights it has now. This is the one place that sets it. */
export interface Rights {
  readonly principal: Principal;
  /** How often they were said to have changed. */
  readonly changes: number;
  /** Looks them up anew. Throws what `current` throws; the principal then stays as it was. */
  read(): Promise<Principal>;
  /** Makes the principal the one that `find` returns. Throws AppError `forbidden` when that is another one. */
  renew(find: () => Promise<Principal>): Promise<Principal>;
  /** Looks them up anew, or ends the connection: what could not be answered must not go on as if nothing were. */
  reread(): Promise<void>;
  /** They are said to have changed: what is being looked up is looked up again, and so are they. */
  changed(): void;
}

export interface RightsOptions {
  /** The principal with the rights it has now. */
  current(principal: Principal): Promise<Principal>;
  /** Holds what the connection gets to other rights. Throws when they leave it nothing. */
  onChanged(principal: Principal): void;
  /** Ends the connection, and says why. */
  close(error: AppError): void;
}

/**
 * The rights of one connection, whichever namespace it is on. Looks take turns and each begins where the one before ended:
 * an older one never overwrites a newer one, and what waits for one keeps the order in which it came in.
 */
export function createRights(first: Principal, options: RightsOptions): Rights {
  let principal = first;
  let changes = 0;
  let turn: Promise<unknown> = Promise.resolve();

  const adopt = (found: Principal): void => {
    if (found === principal) return;
    principal = found;
    try {
      options.onChanged(found);
    } catch (error) {
      options.close(toAppError(error));
      throw error;
    }
  };
  /** What was found while the rights changed may be from before: it is looked up once more. */
  const findUnchanged = async (find: () => Promise<Principal>): Promise<Principal> => {
    for (;;) {
      const before = changes;
      const found = await find();
      if (changes === before) return found;
    }
  };
  const set = async (find: () => Promise<Principal>): Promise<Principal> => {
    const look = async (): Promise<void> => adopt(await findUnchanged(find));
    const looked = turn.then(look, look);
    turn = looked;
    await looked;
    return principal;
  };
  const read = (): Promise<Principal> => set(() => options.current(principal));
  const reread = async (): Promise<void> => {
    try {
      await read();
    } catch (error) {
      options.close(toAppError(error));
    }
  };
  return {
    get principal() {
      return principal;
    },
    get changes() {
      return changes;
    },
    read,
    renew: (find) =>
      set(async () => {
        const found = await find();
        requireSame(principal, found);
        return found;
      }),
    reread,
    changed() {
      changes += 1;
      void reread();
    },
  };
}

function requireSame(before: Principal, now: Principal): void {
  if (now.tenantId === before.tenantId && principalKey(now) === principalKey(before)) return;
  throw new AppError('forbidden', {
    message: 'The credentials are another principal’s: open a connection of its own.',
  });
}
