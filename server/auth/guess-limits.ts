import { AppError } from '../../protocol/errors.ts';
import type { Config } from '../config.ts';
import type { Count, Limiter } from '../limits/limiter.ts';
import type { Limits } from '../limits/limits.ts';
import { rememberCounts } from '../limits/remembered.ts';
import { createLanes } from '../limits/lanes.ts';
import { createTurns, waitFor } from '../limits/turns.ts';
import { networkOf } from './addresses.ts';
import { createGuessGate } from './guess-gate.ts';
import type { CountListener, Entry, GuessCount } from './guess-gate.ts';

/** Bounds guessing at secrets, over HTTP and sockets alike, and over all nodes. */
export interface GuessLimits {
  /**
   * Lets `attempt` run while its failures stay within the limits of the pair of account and address, of the account, and of the
   * address. Throws `rate_limited`, `busy`, and whatever `prove` and the attempt throw.
   */
  guard<T>(guess: Guess<T>): Promise<T>;
  /** Failed guesses that came from the network of an address, at whatever account. */
  failuresFrom(ip: string | undefined): Promise<number>;
  /** The account's owner has proved who they are in another way: strangers' failures no longer count. */
  forgive(account: string): Promise<void>;
}

export interface Guess<T> {
  /** What is guessed at, whether it exists or not: `login ana`. */
  account: string;
  /** What is counted together with the network, and shown; left out: the account. */
  typed?: string;
  ip: string | undefined;
  /** `isOver`: so much was refused already that a refusal is to leave no trace and cost no more than looking. */
  attempt: (isOver: boolean) => Promise<T>;
  /** Whether the account has been used from there before (see `networkOf`): strangers cannot lock it out there (S30). */
  isKnownNetwork?: (network: string) => Promise<boolean>;
  /** Asked for when so many guesses failed that these may be a program's. Throws when there is no proof. */
  prove?: () => Promise<void>;
  onCount?: CountListener | undefined;
  /** A right answer leaves the failures counted: whoever guesses has one of their own to give in between. */
  keepsFailures?: boolean;
  /**
   * The secret has 256 random bits: only failures count, apart from those at what people remember, and a right one passes whatever
   * else failed at its address (S30).
   */
  unguessable?: boolean;
}

/** Refusals that are failed guesses; others (a full queue, a bad form) are not. */
const FAILED_GUESSES = new Set(['invalid_credentials', 'invalid_code']);

export function createGuessLimits(config: Config, limits: Limits): GuessLimits {
  const seconds = config.AUTH_FAILURE_WINDOW_MS / 1_000;
  const pair = rememberCounts(limits.exact({ name: 'pair', points: config.AUTH_FAILURE_LIMIT, seconds }));
  const address = rememberCounts(
    limits.exact({ name: 'address', points: config.AUTH_FAILURE_LIMIT_ADDRESS, seconds }),
  );
  const secretAddress = rememberCounts(
    limits.exact({ name: 'secret address', points: config.AUTH_FAILURE_LIMIT_ADDRESS, seconds }),
  );
  const account = limits.exact({ name: 'account', points: config.AUTH_FAILURE_LIMIT_ACCOUNT, seconds });
  const guessable = createGuard(config, limits, { pair, account, address });
  const unguessable = createSecretGuard({ pair: pair.remembered, address: secretAddress.remembered });
  return {
    guard: (guess) => (guess.unguessable === true ? unguessable(guess) : guessable(guess)),
    async failuresFrom(ip) {
      const network = networkOf(ip ?? '');
      const found = await Promise.all([address.find(network), secretAddress.remembered.find(network)]);
      return found.reduce((sum, count) => sum + (count?.consumedPoints ?? 0), 0);
    },
    async forgive(named) {
      await account.forget(named);
    },
  };
}

type Guard = <T>(guess: Guess<T>) => Promise<T>;

/** For what people remember or type in: every count is asked for each time. */
function createGuard(
  config: Config,
  limits: Limits,
  { pair, account, address }: Record<'pair' | 'account' | 'address', Limiter>,
): Guard {
  const gate = createGuessGate();
  const turns = createTurns(limits);
  /** A count over its limit lasts longer than the wait it imposes: an attack that goes on meets ever longer ones. */
  const keep = async (key: string, count: Count): Promise<void> => {
    const lasting = 2 * waitFor(count.consumedPoints - account.points);
    if (count.consumedPoints < account.points || lasting <= count.msBeforeNext) return;
    await account.set(key, count.consumedPoints, lasting / 1_000);
  };
  return async (guess) => {
    const network = networkOf(guess.ip ?? '');
    const pairKey = `${guess.typed ?? guess.account} ${network}`;
    const turnKey = `${guess.account} ${network}`;
    const isKnown = once(async () => (await guess.isKnownNetwork?.(network)) === true);
    /** How far over the limit the account was when a turn was asked for; undefined: none is needed. */
    let over: number | undefined;
    const waitWhenFull = async (failures: number): Promise<number | undefined> => {
      if (await isKnown()) return 0;
      if (failures < account.points) return undefined;
      over = failures - account.points;
      return turns.ask(turnKey, over);
    };
    const counts: GuessCount[] = [
      { limiter: pair, key: pairKey },
      // where the person has been before, others at that address do not shut them out
      { limiter: address, key: network, waitWhenFull: async () => ((await isKnown()) ? 0 : undefined) },
      {
        limiter: account,
        key: guess.account,
        isHidden: true,
        waitWhenFull,
        onFailure: (count) => keep(guess.account, count),
      },
    ];
    const entry = await gate.enter(counts, guess.onCount ?? (() => undefined));
    return inside(entry, guess, {
      before: async () => {
        const [, byAddress = 0, byAccount = 0] = entry.failures;
        const suspicious = (failures: number): boolean => failures >= config.PROOF_OF_WORK_AFTER;
        if (suspicious(byAddress) || (suspicious(byAccount) && !(await isKnown()))) await guess.prove?.();
        if (over !== undefined && !(await turns.take(turnKey, over)))
          throw new AppError('rate_limited', { retryAfterMs: waitFor(over) });
      },
      after: async () => {
        if ((entry.failures[0] ?? 0) > 0 && guess.keepsFailures !== true) await pair.forget(pairKey);
      },
    });
  };
}

/**
 * For 256 random bits: a right one costs the store nothing. At an address with too many failures the secrets are looked at one after
 * another: a wrong one is told to wait, and writes nothing.
 */
function createSecretGuard({ pair, address }: Record<'pair' | 'address', Limiter>): Guard {
  const gate = createGuessGate();
  const lanes = createLanes();
  return async (guess) => {
    const network = networkOf(guess.ip ?? '');
    const pairKey = `${guess.account} ${network}`;
    const counts: GuessCount[] = [
      { limiter: pair, key: pairKey, failuresOnly: true },
      { limiter: address, key: network, failuresOnly: true, waitWhenFull: () => Promise.resolve(0) },
    ];
    const entry = await gate.enter(counts, guess.onCount ?? (() => undefined));
    const after = async (): Promise<void> => {
      if ((entry.failures[0] ?? 0) > 0) await pair.forget(pairKey);
    };
    if ((entry.failures[1] ?? 0) < address.points) return inside(entry, guess, { after });
    return lanes.run(network, () => lookOnly(entry, guess, { address, network, after }));
  };
}

async function lookOnly<T>(
  entry: Entry,
  guess: Guess<T>,
  { address, network, after }: { address: Limiter; network: string; after: () => Promise<void> },
): Promise<T> {
  try {
    const result = await guess.attempt(true);
    await after();
    return result;
  } catch (error) {
    if (!isFailedGuess(error)) throw error;
    const count = await address.find(network);
    if (count !== undefined) guess.onCount?.(address, count);
    throw new AppError('rate_limited', { retryAfterMs: count?.msBeforeNext ?? 1_000 });
  } finally {
    await entry.leave(false);
  }
}

async function inside<T>(
  entry: Entry,
  guess: Guess<T>,
  around: { before?: () => Promise<void>; after: () => Promise<void> },
): Promise<T> {
  try {
    await around.before?.();
    const result = await guess.attempt(false);
    await around.after();
    await entry.leave(false);
    return result;
  } catch (error) {
    await entry.leave(isFailedGuess(error));
    throw error;
  }
}

function isFailedGuess(error: unknown): boolean {
  return error instanceof AppError && FAILED_GUESSES.has(error.code);
}

/** Asked for once, however often it is needed. */
function once<T>(find: () => Promise<T>): () => Promise<T> {
  let found: Promise<T> | undefined;
  return () => (found ??= find());
}
