import { expect } from 'chai';
import { createMemoryStore } from '../../sdk/index.ts';
import type { FakeGateway } from './fake-gateway.ts';
import { refuse, startFakeGateway } from './fake-gateway.ts';
import type { Watched } from './support.ts';
import { closeClients, history, placeOf, put, startClient, until } from './support.ts';

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
const PUSHES = 25;
const FAST = { backoff: { baseMs: 2, capMs: 10, stableMs: 50 }, timeoutMs: 100 };

describe('sdk under faults', () => {
  let gateway: FakeGateway;
  beforeEach(async () => {
    gateway = await startFakeGateway();
  });
  afterEach(async () => {
    await closeClients();
    await gateway.close();
  });

  for (const seed of SEEDS)
    it(`[P2][P3] frames dropped and doubled, acks lost, connections cut: once, in order, nothing lost (seed ${seed})`, async () => {
      const clients = await Promise.all([startClient(gateway, FAST), startClient(gateway, FAST)]);
      await until(() => clients.every(({ client }) => client.state.name === 'live'));
      misbehave(gateway, randomFrom(seed));
      await pushAll(clients);
      await new Promise((resolve) => setTimeout(resolve, 300));
      gateway.faults = {};
      // A dropped last frame has no next one to give it away.
      gateway.disconnect();
      await Promise.all(clients.map(({ client }) => client.drained()));
      await until(() => clients.every((watched) => history(watched).length >= gateway.log.length));
      expect(appliedOnce(gateway, clients.length * PUSHES)).to.equal(true);
      for (const watched of clients) expect(history(watched)).to.deep.equal(gateway.log.map(placeOf));
    });

  it('[P2] known bad: a gateway that forgets what it has applied is caught by the same check', async () => {
    const watched = await startClient(gateway, FAST);
    misbehave(gateway, randomFrom(1));
    gateway.faults.forgetful = true;
    await pushAll([watched]);
    await watched.client.drained();
    expect(appliedOnce(gateway, PUSHES)).to.equal(false);
  });

  it('[P1] a client that stops in mid-stream and starts again with its store loses nothing', async () => {
    const store = createMemoryStore();
    misbehave(gateway, randomFrom(9));
    for (let round = 0; round < 4; round += 1) {
      const { client } = await startClient(gateway, { ...FAST, store });
      for (let i = 0; i < 10; i += 1) await client.push([put(`${round}-${i}`)]);
      await new Promise((resolve) => setTimeout(resolve, 20));
      await client.close();
    }
    gateway.faults = {};
    const { client } = await startClient(gateway, { ...FAST, store });
    await client.drained();
    expect(appliedOnce(gateway, 40)).to.equal(true);
    await until(async () => (await store.count('stoku')) === 40);
  });
});

/** Each fault with its share of the messages. */
function misbehave(gateway: FakeGateway, random: () => number): void {
  gateway.faults = {
    delta: (frame) => (random() < 0.05 ? [] : random() < 0.05 ? [frame, frame] : [frame]),
    cutAfterCommit: () => random() < 0.1,
    push: () =>
      random() < 0.05
        ? 'silent'
        : random() < 0.1
          ? refuse('busy', { retry: 'later', retryAfterMs: 2 })
          : undefined,
    handshake: () => (random() < 0.2 ? { code: 'unavailable' } : undefined),
  };
}

async function pushAll(clients: readonly Watched[]): Promise<void> {
  for (let i = 0; i < PUSHES; i += 1) {
    await Promise.all(
      clients.map(({ client }, n) => client.push([put(`${n}-${i}`), put(`${n}-${i}-stock`)])),
    );
    if (i % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Every batch is one version of the log: none missing, none twice, each client's in its order. */
function appliedOnce(gateway: FakeGateway, batches: number): boolean {
  const ids = gateway.log.filter((change) => change.index === 0).map((change) => change.id);
  return ids.length === batches && new Set(ids).size === batches;
}

function randomFrom(seed: number): () => number {
  let state = seed * 2_654_435_761;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 0x9e3779b9) | 0;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
}
