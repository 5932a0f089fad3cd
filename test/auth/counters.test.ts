import { expect } from 'chai';
import { createEventualCounter } from '../../server/limits/eventual.ts';
import type { Limiter } from '../../server/limits/limiter.ts';
import { rememberCounts } from '../../server/limits/remembered.ts';
import { until } from '../support/sync-gateway.ts';

/** A store that another node writes to as well, and that notes what it is asked. */
function createStore(
  points: number,
): Limiter & { asked: string[]; held: Map<string, number>; dead: boolean } {
  const count = (key: string) => ({
    consumedPoints: store.held.get(key) ?? 0,
    remainingPoints: Math.max(0, points - (store.held.get(key) ?? 0)),
    msBeforeNext: 60_000,
  });
  const store = {
    ...{ name: 'test', points, asked: [] as string[], held: new Map<string, number>(), dead: false },
    consume: async (key: string) => ({ ...(await store.add(key)), passed: true }),
    add: (key: string, more = 1) => {
      store.asked.push(`add ${key} ${more}`);
      if (store.dead) return Promise.reject(new Error('dead'));
      store.held.set(key, (store.held.get(key) ?? 0) + more);
      return Promise.resolve(count(key));
    },
    find: (key: string) => {
      store.asked.push(`find ${key}`);
      return Promise.resolve(store.held.has(key) ? count(key) : undefined);
    },
    set: () => Promise.resolve(),
    forget: (key: string) => Promise.resolve(store.held.delete(key)),
  };
  return store;
}

describe('counts that cost a request no round trip', () => {
  const options = { name: 'test', points: 10, seconds: 60 };

  it('are exact on one node, and told to the store together, later', async () => {
    const store = createStore(10);
    const counter = createEventualCounter(store, options);
    const passed = [];
    for (let i = 0; i < 12; i += 1) passed.push((await counter.consume('ana')).passed);
    expect(store.asked).to.deep.equal([]);
    expect(passed).to.deep.equal([...Array<boolean>(10).fill(true), false, false]);
    await until('the store to be told', () => store.asked.length > 0);
    expect(store.asked).to.deep.equal(['add ana 12']);
    await counter.close();
  });

  it('hear of the other nodes with their own next word', async () => {
    const store = createStore(10);
    const counter = createEventualCounter(store, options);
    store.held.set('ana', 9);
    expect((await counter.consume('ana')).remainingPoints).to.equal(9);
    await until('the store to be told', () => store.asked.length > 0);
    const next = await counter.consume('ana');
    expect([next.passed, next.consumedPoints]).to.deep.equal([false, 11]);
    await counter.close();
  });

  it('given back before anybody was told, are never told of', async () => {
    const store = createStore(10);
    const counter = createEventualCounter(store, options);
    await counter.consume('ana');
    await counter.add('ana', -1);
    await counter.close();
    expect(store.asked).to.deep.equal([]);
  });

  it('that the store did not take are told again, and a flood is not told to the last drop', async () => {
    const store = createStore(10);
    const counter = createEventualCounter(store, options);
    store.dead = true;
    for (let i = 0; i < 3; i += 1) await counter.consume('ana');
    await until('a first try', () => store.asked.length > 0);
    store.dead = false;
    for (let i = 0; i < 100; i += 1) await counter.consume('ana');
    await counter.close();
    expect(store.asked).to.deep.equal(['add ana 3', 'add ana 20']);
  });

  it('of failed secrets are remembered: as long as nothing fails the store is not asked', async () => {
    const store = createStore(10);
    const limiter = rememberCounts(store);
    expect(await limiter.remembered.find('key')).to.equal(undefined);
    expect(store.asked).to.deep.equal([]);
    store.held.set('key', 4);
    await limiter.remembered.add('key');
    expect((await limiter.remembered.find('key'))?.consumedPoints).to.equal(5);
    await limiter.forget('key');
    expect(await limiter.remembered.find('key')).to.equal(undefined);
    expect(store.asked).to.deep.equal(['add key 1']);
  });
});
