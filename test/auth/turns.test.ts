import { expect } from 'chai';
import type { Limiter } from '../../server/limits/limiter.ts';
import { createTurns, waitFor } from '../../server/limits/turns.ts';

/** Counts with a clock of their own. */
function createClockedStore(): { exact: () => Limiter; pass: (ms: number) => void } {
  const held = new Map<string, { points: number; until: number }>();
  let now = 0;
  const read = (key: string) => {
    const { points, until } = held.get(key) ?? { points: 0, until: now };
    return { consumedPoints: points, remainingPoints: 0, msBeforeNext: until - now };
  };
  const write = (key: string, points: number, seconds: number): void => {
    held.set(key, { points, until: now + seconds * 1_000 });
  };
  const exact = (options?: { seconds: number }): Limiter => ({
    ...{ name: 'turn', points: 1 },
    consume: () => Promise.reject(new Error('nobody consumes a turn')),
    add: (key, more = 1) => {
      const there = held.get(key);
      if (there === undefined) write(key, more, options?.seconds ?? 0);
      else there.points += more;
      return Promise.resolve(read(key));
    },
    find: (key) => Promise.resolve(held.has(key) ? read(key) : undefined),
    set: (key, points, seconds) => {
      write(key, points, seconds);
      return Promise.resolve();
    },
    forget: (key) => Promise.resolve(held.delete(key)),
  });
  return { exact, pass: (ms) => void (now += ms) };
}

describe('[S30] turns of strange networks', () => {
  const store = createClockedStore();
  const turns = createTurns({ exact: store.exact });
  /** One that has asked, waited as told, and heard that its turn is now. */
  const wait = async (key: string): Promise<void> => {
    expect(await turns.ask(key, 0)).to.equal(waitFor(0));
    store.pass(waitFor(0));
    expect(await turns.ask(key, 0)).to.equal(0);
  };

  it('let one of several try that heard yes at once', async () => {
    await wait('at once');
    const taken = await Promise.all([1, 2, 3].map(() => turns.take('at once', 0)));
    expect(taken).to.deep.equal([true, false, false]);
  });

  it('are not taken before their time by one that heard yes to the turn before', async () => {
    await wait('late');
    expect(await turns.take('late', 0)).to.equal(true);
    expect(await turns.ask('late', 1)).to.equal(waitFor(1));
    expect(await turns.take('late', 0)).to.equal(false);
    store.pass(waitFor(1));
    expect(await turns.ask('late', 1)).to.equal(0);
    expect(await turns.take('late', 1)).to.equal(true);
  });

  it('begin anew when a node died while it took one', async () => {
    await wait('died');
    const dying = createTurns({
      exact: () => ({ ...store.exact(), forget: () => Promise.reject(new Error('gone')) }),
    });
    await dying.take('died', 0).catch(() => undefined);
    expect(await turns.ask('died', 0)).to.equal(waitFor(0));
    store.pass(waitFor(0));
    expect(await turns.ask('died', 0)).to.equal(0);
    expect(await turns.take('died', 0)).to.equal(true);
  });
});
