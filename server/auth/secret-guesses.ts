import { AppError } from '../../protocol/errors.ts';
import type { IdentityCore } from './core.ts';
import type { Guess } from './guess-limits.ts';

/**
 * Lets a try at a secret of 256 random bits (an API key, a refresh token) run within the limits on guessing, which are asked
 * before anything is looked up (S53). Whatever is refused as unauthenticated counts as a failure; nothing else does.
 */
export async function guardSecret<T>(
  core: IdentityCore,
  guess: Omit<Guess<T>, 'unguessable' | 'isKnownNetwork'>,
): Promise<T> {
  let refusal: AppError | undefined;
  const attempt = async (isOver: boolean): Promise<T> => {
    try {
      return await guess.attempt(isOver);
    } catch (error) {
      if (!(error instanceof AppError) || error.status !== 401) throw error;
      refusal = error;
      throw new AppError('invalid_credentials', { cause: error });
    }
  };
  try {
    return await core.guesses.guard({ ...guess, attempt, unguessable: true });
  } catch (error) {
    throw error instanceof AppError && error.code === 'invalid_credentials' ? (refusal ?? error) : error;
  }
}
