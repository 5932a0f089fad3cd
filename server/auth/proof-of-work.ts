import { randomInt } from 'node:crypto';
import { createChallenge, verifySolution } from 'altcha-lib';
import { deriveKey } from 'altcha-lib/algorithms/pbkdf2';
import { z } from 'zod';
import { AppError } from '../../protocol/errors.ts';
import type { Config } from '../config.ts';
import type { Sql } from '../db.ts';
import type { Clock } from './clock.ts';
import { PEOPLE_TENANT } from './core.ts';
import type { Caller } from './core.ts';
import type { Refusals } from './refusals.ts';
import type { SecretBox } from './secret-box.ts';
import { useProof } from './used-proofs.ts';

/** What a proof of work is done for: one for a sign-up is none for a login. */
export type ProofPurpose = 'signup' | 'login' | 'forgot';

/** Work that costs a person's browser a second and a program that tries thousands of times an hour or more (ALTCHA). */
export interface ProofOfWork {
  /**
   * Takes a solution, once. Throws `proof_of_work_required`, with another `challenge`, when there is none, or it is wrong, old,
   * used, or was made for something else.
   */
  require(purpose: ProofPurpose, solution: string | undefined, caller: Caller): Promise<void>;
}

/** How long a challenge may be worked on. */
const LIFE_MS = 5 * 60_000;
/** The solution is one of these tries, so half of them are needed on average. */
const TRIES = 600;

const payload = z.object({
  challenge: z.object({
    parameters: z.looseObject({
      algorithm: z.literal('PBKDF2/SHA-256'),
      nonce: z.string(),
      salt: z.string(),
      cost: z.int(),
      keyLength: z.int(),
      keyPrefix: z.string(),
      keySignature: z.string(),
      expiresAt: z.int(),
      data: z.object({ purpose: z.string() }),
    }),
    signature: z.string(),
  }),
  solution: z.object({ counter: z.int(), derivedKey: z.string().max(200) }),
});
type Payload = z.output<typeof payload>;

export function createProofOfWork(deps: {
  sql: Sql;
  refusals: Pick<Refusals, 'note'>;
  box: SecretBox;
  clock: Clock;
  config: Pick<Config, 'PROOF_OF_WORK_COST'>;
}): ProofOfWork {
  const { sql, refusals, box, clock, config } = deps;
  // every node has the same, from the encryption key
  const secrets = {
    hmacSignatureSecret: box.digest('proof of work', 'challenge').toString('hex'),
    hmacKeySignatureSecret: box.digest('proof of work', 'solution').toString('hex'),
  };
  const isSolved = async (purpose: ProofPurpose, { challenge, solution }: Payload): Promise<boolean> => {
    const { data, expiresAt } = challenge.parameters;
    if (data.purpose !== purpose || expiresAt * 1_000 <= clock()) return false;
    const { verified } = await verifySolution({ challenge, solution, deriveKey, ...secrets });
    if (!verified) return false;
    // of parallel ones exactly one is the first
    return useProof(sql, {
      tenantId: PEOPLE_TENANT,
      purpose: 'proof-of-work',
      of: purpose,
      jti: challenge.signature,
      until: expiresAt * 1_000,
    });
  };
  return {
    async require(purpose, solution, caller) {
      const given = solution === undefined ? undefined : parseSolution(solution);
      if (given !== undefined && (await isSolved(purpose, given))) return;
      const challenge = await createChallenge({
        algorithm: 'PBKDF2/SHA-256',
        cost: config.PROOF_OF_WORK_COST,
        counter: randomInt(TRIES),
        expiresAt: Math.floor((clock() + LIFE_MS) / 1_000),
        data: { purpose },
        deriveKey,
        ...secrets,
      });
      refusals.note(
        {
          tenantId: PEOPLE_TENANT,
          action: 'proof_of_work.required',
          principal: null,
          code: 'proof_of_work_required',
          ip: caller.ip,
          requestId: caller.requestId,
          details: { purpose },
        },
        purpose,
      );
      throw new AppError('proof_of_work_required', { members: { challenge } });
    },
  };
}

/** Undefined: what came is no solution of ours. */
function parseSolution(text: string): Payload | undefined {
  try {
    return payload.parse(JSON.parse(Buffer.from(text, 'base64').toString('utf8')));
  } catch {
    return undefined;
  }
}
