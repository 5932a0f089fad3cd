import type { Config } from '../config.ts';
import type { Limits } from '../limits/limits.ts';
import { networkOf } from './addresses.ts';
import type { GuessLimits } from './guess-limits.ts';

/** Tells when what strangers ask for has become too much to be a person's. Each question counts. */
export interface Suspicion {
  ofSignUp(ip: string | undefined): Promise<boolean>;
  /** `address`: whose password is said to be forgotten; it counts whether it exists or not (S29). */
  ofForgotten(ip: string | undefined, address: string): Promise<boolean>;
}

const HOUR = 3_600;

export function createSuspicion(
  config: Config,
  limits: Limits,
  guesses: Pick<GuessLimits, 'failuresFrom'>,
): Suspicion {
  const points = config.PROOF_OF_WORK_AFTER;
  const signUps = limits.eventual({ name: 'sign-ups', points, seconds: HOUR });
  const forgotten = limits.eventual({ name: 'forgotten', points, seconds: HOUR });
  const guessed = async (ip: string | undefined): Promise<boolean> =>
    (await guesses.failuresFrom(ip)) >= points;
  return {
    async ofSignUp(ip) {
      const { passed } = await signUps.consume(networkOf(ip ?? ''));
      return !passed || (await guessed(ip));
    },
    async ofForgotten(ip, address) {
      const from = await forgotten.consume(`from ${networkOf(ip ?? '')}`);
      const about = await forgotten.consume(`about ${address}`);
      return !from.passed || !about.passed || (await guessed(ip));
    },
  };
}
