import { z } from 'zod';
import { refusal } from '../protocol/sync.ts';
import { ConnectRefused, SluiceError } from './errors.ts';
import { solveAsked } from './proof-of-work.ts';
import type { ChatLogin } from './types.ts';

type Request = (event: string, body: unknown) => Promise<unknown>;

const accepted = z.object({ ok: z.literal(true) });
const withChallenge = z.looseObject({ error: z.looseObject({ challenge: z.unknown() }) });

/** Another try with the same credentials would be another wrong guess, and in the end keep the person out. */
const FINAL = new Set(['invalid_credentials', 'mfa_required', 'email_not_verified']);

/** Logs in on an open connection of the chat by name and password; a proof of work that is asked for is worked out. */
export function createChatLogin(login: ChatLogin): (request: Request) => Promise<void> {
  let refused: ConnectRefused | undefined;

  async function ask(request: Request, altcha?: string): Promise<void> {
    const answer = await request('authenticate', { ...login, ...(altcha === undefined ? {} : { altcha }) });
    if (accepted.safeParse(answer).success) return;
    const parsed = refusal.safeParse(answer);
    if (!parsed.success) throw new SluiceError('protocol', 'the answer to authenticate does not parse');
    const { code, message, retryAfterMs, retry } = parsed.data.error;
    if (code === 'proof_of_work_required' && altcha === undefined) {
      const solution = await solveAsked(withChallenge.safeParse(answer).data?.error.challenge);
      if (solution !== undefined) return ask(request, solution);
    }
    // There is no token that could be renewed: what asks for one asks for other credentials.
    const advice = code === 'proof_of_work_required' ? 'later' : retry === 'auth' ? 'never' : retry;
    const error = new ConnectRefused(code, message, { retryAfterMs, advice });
    if (FINAL.has(code)) refused = error;
    throw error;
  }

  return async (request) => {
    if (refused) throw refused;
    await ask(request);
  };
}
