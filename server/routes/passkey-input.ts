import { z } from 'zod';
import type { Assertion } from '../auth/passkey-proofs.ts';
import type { Registration } from '../auth/passkeys.ts';

/** What browsers make of passkeys, as JSON (WebAuthn Level 3, RegistrationResponseJSON and AuthenticationResponseJSON). */

const encoded = (most: number): z.ZodString =>
  z
    .string()
    .max(most)
    .regex(/^[\w-]+$/, 'base64url');
const credential = { id: encoded(1_400), rawId: encoded(1_400), type: z.literal('public-key') };
const sameId = ({ id, rawId }: { id: string; rawId: string }): boolean => id === rawId;

export const registrationInput = z
  .object({
    ...credential,
    response: z.object({
      clientDataJSON: encoded(8_000),
      attestationObject: encoded(64_000),
      transports: z
        .array(z.string().regex(/^[a-z-]{1,20}$/))
        .max(10)
        .default([]),
    }),
  })
  .refine(sameId, 'id and rawId are the same')
  .transform(({ id, response }): Registration => ({ id, ...response }));

export const assertionInput = z
  .object({
    ...credential,
    response: z.object({
      clientDataJSON: encoded(8_000),
      authenticatorData: encoded(8_000),
      signature: encoded(4_000),
      userHandle: z.string().max(200).nullish(),
    }),
  })
  .refine(sameId, 'id and rawId are the same')
  .transform(({ id, response: { userHandle, ...response } }): Assertion => {
    // an authenticator that keeps none is said with null or nothing
    return { id, ...response, ...(userHandle ? { userHandle } : {}) };
  });
