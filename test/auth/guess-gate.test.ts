import { expect } from 'chai';
import { createGuessGate } from '../../server/auth/guess-gate.ts';
import type { GuessCount } from '../../server/auth/guess-gate.ts';
import type { Count, Limiter } from '../../server/limits/limiter.ts';

const NOTHING = (): void => undefined;

describe('the gate that guesses go through', () => {
  /** A store that answers when the test likes, and how often it was asked. */
  const createStore = (): {
    limiter: Limiter;
    looks: string[];
    answer: () => void;
    add: (key: string) => void;
  } => {
    const looks: string[] = [];
    const failures = new Map<string, number>();
    const waiting: (() => void)[] = [];
    const countOf = (key: string): Count =>
      ({
        consumedPoints: failures.get(key) ?? 0,
        remainingPoints: 0,
        msBeforeNext: 1,
        passed: true,
      }) as Count;
    const limiter = {
      name: 'guesses',
      points: 5,
      async find(key: string) {
        looks.push(key);
        const found = countOf(key);
        await new Promise<void>((resolve) => waiting.push(resolve));
        return found;
      },
    } as unknown as Limiter;
    return {
      limiter,
      looks,
      answer: () => waiting.splice(0).forEach((go) => go()),
      add: (key) => void failures.set(key, (failures.get(key) ?? 0) + 1),
    };
  };
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('[S30] a guess at another account that ends meanwhile makes no look start again', async () => {
    const { limiter, looks, answer } = createStore();
    const gate = createGuessGate();
    const guess = (key: string): GuessCount[] => [{ limiter, key }];
    const others = Array.from({ length: 20 }, (_, i) => gate.enter(guess(`other ${i}`), NOTHING));
    answer();
    const entries = await Promise.all(others);
    looks.length = 0;
    const mine = gate.enter(guess('mine'), NOTHING);
    for (const entry of entries) await entry.leave(false);
    answer();
    await mine;
    expect(looks).to.deep.equal(['mine']);
  });

  it('[S30] one at the same account that ends meanwhile makes it look again', async () => {
    const { limiter, looks, answer, add } = createStore();
    const gate = createGuessGate();
    const counts: GuessCount[] = [{ limiter, key: 'mine' }];
    const first = gate.enter(counts, NOTHING);
    answer();
    const entry = await first;
    const second = gate.enter(counts, NOTHING);
    add('mine');
    await entry.leave(false);
    answer();
    await turn();
    answer();
    expect((await second).failures).to.deep.equal([1]);
    expect(looks).to.have.length(3);
  });
});
