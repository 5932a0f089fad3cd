import { z } from 'zod';
import { ApiError } from './errors.ts';
import { callHttp } from './http.ts';
import type { HttpCall } from './http.ts';
import type { Fetch } from './types.ts';

const challengeShape = z.object({
  parameters: z.looseObject({
    algorithm: z.literal('PBKDF2/SHA-256'),
    nonce: z.string().regex(/^([0-9a-f]{2})+$/),
    salt: z.string().regex(/^([0-9a-f]{2})+$/),
    // more than this no gateway asks for: a page must not be kept busy for good
    cost: z.int().min(1).max(10_000_000),
    keyLength: z.int().min(1).max(64),
    keyPrefix: z.string().regex(/^([0-9a-f]{2})+$/),
  }),
  signature: z.string(),
});
type Challenge = z.infer<typeof challengeShape>;

/** Tries until a gateway's challenge counts as one that cannot be solved. */
const MOST_TRIES = 100_000;

/**
 * A call without a login. Where the gateway has become suspicious and asks for a proof of work (`proof_of_work_required`), it is
 * worked out and the call made once more: whoever types a password notices a second's wait at the most.
 */
export async function postWithProof(fetch: Fetch, call: HttpCall): Promise<unknown> {
  try {
    return await callHttp(fetch, call);
  } catch (error) {
    const isAsked = error instanceof ApiError && error.code === 'proof_of_work_required';
    if (!isAsked || typeof call.body !== 'object') throw error;
    const altcha = await solveAsked(error.extensions['challenge']);
    if (altcha === undefined) throw error;
    return callHttp(fetch, { ...call, body: { ...call.body, altcha } });
  }
}

/** The solution of a challenge as a refusal brings it; undefined: it is none that can be worked on. */
export async function solveAsked(challenge: unknown): Promise<string | undefined> {
  const asked = challengeShape.safeParse(challenge);
  return asked.success ? solveChallenge(asked.data) : undefined;
}

/** Finds the number whose key begins as the challenge wants it; the browser's own code does the work, beside the page. */
async function solveChallenge(challenge: Challenge): Promise<string> {
  const { subtle } = globalThis.crypto as { subtle?: SubtleCrypto };
  if (subtle === undefined) {
    const message = 'The gateway asks for a proof of work, which browsers do over HTTPS only: open it there.';
    throw new ApiError({ status: 428, code: 'proof_of_work_required', message });
  }
  const { nonce, salt, cost, keyLength, keyPrefix } = challenge.parameters;
  const password = new Uint8Array([...fromHex(nonce), 0, 0, 0, 0]);
  const counterAt = new DataView(password.buffer, password.length - 4);
  const derivation = { name: 'PBKDF2', hash: 'SHA-256', salt: fromHex(salt), iterations: cost };
  for (let counter = 0; counter < MOST_TRIES; counter += 1) {
    counterAt.setUint32(0, counter);
    const key = await subtle.importKey('raw', password, 'PBKDF2', false, ['deriveBits']);
    const derivedKey = toHex(new Uint8Array(await subtle.deriveBits(derivation, key, keyLength * 8)));
    if (derivedKey.startsWith(keyPrefix))
      return btoa(JSON.stringify({ challenge, solution: { counter, derivedKey } }));
  }
  const message = 'The proof of work that the gateway asks for has no solution: try again.';
  throw new ApiError({ status: 428, code: 'proof_of_work_required', message });
}

function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
