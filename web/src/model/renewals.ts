import { codeOf } from '../format.ts';

type Renew = () => Promise<unknown>;

/** Why the gateway would not renew the session: it tells whether that has expired or was ended. */
export interface Renewals {
  inTurn: (renew: Renew) => Promise<unknown>;
  /** The code of the last refusal; undefined: the last renewal went well, or nobody answered. */
  refusal: () => string | undefined;
}

export function createRenewals(turns: (renew: Renew) => Promise<unknown>): Renewals {
  let refusal: string | undefined;
  return {
    async inTurn(renew) {
      refusal = undefined;
      try {
        return await turns(renew);
      } catch (error) {
        refusal = codeOf(error);
        throw error;
      }
    },
    refusal: () => refusal,
  };
}
