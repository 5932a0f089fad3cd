import { expect } from 'chai';
import type { Delta } from '../../protocol/sync.ts';
import { systemClock } from '../../sdk/clock.ts';
import { createDownloader } from '../../sdk/downloader.ts';
import { createMemoryStore } from '../../sdk/index.ts';
import type { Store } from '../../sdk/index.ts';
import type { FakeGateway } from './fake-gateway.ts';
import { startFakeGateway } from './fake-gateway.ts';
import { closeClients, history, put, startClient, until } from './support.ts';

let gateway: FakeGateway;

async function ids(store: Store): Promise<string[]> {
  return (await store.list('stoku')).map((record) => record.id);
}

describe('sdk downloads', () => {
  beforeEach(async () => {
    gateway = await startFakeGateway();
  });
  afterEach(async () => {
    await closeClients();
    await gateway.close();
  });

  it('[P3] applies a live delta and saves the cursor with it', async () => {
    const store = createMemoryStore();
    const { client } = await startClient(gateway, { store });
    await until(() => client.state.name === 'live');
    gateway.commit(put('a'), put('b'));
    await until(async () => (await store.count('stoku')) === 2);
    expect((await store.position()).cursor).to.equal('e1.1');
  });

  it('[P3] takes a snapshot page by page, then the deltas behind it', async () => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) gateway.commit(put(id));
    const store = createMemoryStore();
    const watched = await startClient(gateway, { store });
    await until(() => watched.client.state.name === 'live');
    gateway.commit(put('f'));
    await until(async () => (await store.count('stoku')) === 6);
    expect(watched.of('snapshot').map((page) => page.received)).to.deep.equal([2, 4, 5]);
    expect(history(watched)).to.deep.equal(['6/0']);
  });

  it('[P3] resumes from its cursor after a cut, without a gap or a double', async () => {
    const watched = await startClient(gateway);
    await until(() => watched.client.state.name === 'live');
    for (let i = 0; i < 30; i += 1) {
      gateway.commit(put(`r${i}`));
      if (i % 7 === 3) gateway.disconnect();
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
    await until(() => history(watched).length >= 30);
    expect(history(watched)).to.deep.equal(Array.from({ length: 30 }, (_, i) => `${i + 1}/0`));
    expect(gateway.hellos.length).to.be.greaterThan(1);
  });

  for (const [title, fault] of [
    ['a dropped frame', (frame: Delta) => (frame.from === 'e1.3' ? [] : [frame])],
    ['a doubled frame', (frame: Delta) => (frame.from === 'e1.3' ? [frame, frame] : [frame])],
    ['a wrong from', (frame: Delta) => [frame.from === 'e1.3' ? { ...frame, from: 'e1.0' } : frame]],
  ] as const)
    it(`[P3] ${title} is not applied: it says hello again and resumes`, async () => {
      const watched = await startClient(gateway);
      await until(() => watched.client.state.name === 'live');
      let left = 1;
      gateway.faults.delta = (frame) => (frame.from === 'e1.3' && left-- <= 0 ? [frame] : fault(frame));
      for (let i = 0; i < 8; i += 1) gateway.commit(put(`r${i}`));
      await until(() => history(watched).length >= 8);
      expect(history(watched)).to.deep.equal(Array.from({ length: 8 }, (_, i) => `${i + 1}/0`));
      expect(gateway.hellos).to.have.lengthOf(2);
      expect(
        watched
          .of('error')
          .map((error) => error.message)
          .join(),
      ).to.contain('a frame starts at');
    });

  it('[P3] known bad: with the gap check off the history shows the loss', async () => {
    const applied: number[] = [];
    const downloader = createDownloader({
      store: withoutCursorCheck(createMemoryStore()),
      clock: systemClock,
      continues: () => true,
      ...{ send: () => undefined, drop: () => undefined, note: () => undefined },
      emit: (event, body) => {
        if (event === 'changes' && 'changes' in body) applied.push(...body.changes.map((one) => one.version));
      },
    });
    downloader.begin({ cursor: 'e1.0', scope: '[]', credits: 8 });
    for (const version of [1, 2, 4, 5]) downloader.offer('sync:delta', frameOf(version));
    await until(() => applied.length === 4);
    await downloader.stop();
    expect(isContiguous(applied)).to.equal(false);
  });

  it('[P3] the gap check on: nothing behind the gap is applied', async () => {
    const applied: number[] = [];
    const dropped: Error[] = [];
    const downloader = createDownloader({
      store: withoutCursorCheck(createMemoryStore()),
      clock: systemClock,
      ...{ send: () => undefined, drop: (error) => dropped.push(error), note: () => undefined },
      emit: (event, body) => {
        if (event === 'changes' && 'changes' in body) applied.push(...body.changes.map((one) => one.version));
      },
    });
    downloader.begin({ cursor: 'e1.0', scope: '[]', credits: 8 });
    for (const version of [1, 2, 4, 5]) downloader.offer('sync:delta', frameOf(version));
    await until(() => dropped.length === 1);
    expect(applied).to.deep.equal([1, 2]);
    expect(isContiguous(applied)).to.equal(true);
  });

  it('[S] an interrupted snapshot goes on after its last stored page', async () => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) gateway.commit(put(id));
    gateway.faults.cutAfterPages = 1;
    const watched = await startClient(gateway);
    await until(() => watched.client.state.name === 'live');
    expect(gateway.hellos.map((hello) => hello.cursor)).to.deep.equal([null, 'e1.5.2']);
    expect(
      watched
        .of('snapshot')
        .flatMap((page) => page.records.map((one) => one.id))
        .join(''),
    ).to.equal('abcde');
    expect(watched.of('reset')).to.have.lengthOf(0);
  });

  it('[S] a page and its resume position are one transaction: a page that is not stored is asked for again', async () => {
    for (const id of ['a', 'b', 'c']) gateway.commit(put(id));
    const store = createMemoryStore();
    const applySnapshot = store.applySnapshot.bind(store);
    let fail = true;
    store.applySnapshot = (page) => {
      if (!fail || page.more) return applySnapshot(page);
      fail = false;
      return Promise.reject(new Error('disk full'));
    };
    const watched = await startClient(gateway, { store });
    await until(() => watched.client.state.name === 'live');
    expect(await ids(store)).to.deep.equal(['a', 'b', 'c']);
    expect(gateway.hellos.map((hello) => hello.cursor)).to.deep.equal([null, 'e1.3.2']);
  });

  it('[S] an unknown cursor: reset, the replica is taken anew and the outbox is not touched', async () => {
    gateway.commit(put('a'));
    const store = createMemoryStore();
    const watched = await startClient(gateway, { store });
    await until(() => watched.client.state.name === 'live');
    gateway.faults.push = () => 'silent';
    await watched.client.push([put('mine')]);
    gateway.epoch = 'e2';
    gateway.disconnect();
    await until(() => watched.of('reset').length === 1 && watched.client.state.name === 'live');
    expect((await store.position()).cursor).to.equal('e2.1');
    expect(await store.outboxCount()).to.equal(1);
  });

  it('[S] sync:reset on an open connection empties the replica', async () => {
    gateway.commit(put('a'));
    const store = createMemoryStore();
    const watched = await startClient(gateway, { store });
    await until(() => watched.client.state.name === 'live');
    gateway.say('sync:reset', { reason: 'retention' });
    gateway.say('sync:snapshot', { page: 'e1.1.2', at: 'e1.1', more: false, records: [] });
    await until(() => watched.of('snapshot').length === 2);
    expect(await ids(store)).to.deep.equal([]);
    expect(watched.of('reset')).to.deep.equal([{ reason: 'retention' }]);
    expect(watched.client.state.name).to.equal('live');
  });

  it('[S] changes behind a snapshot that the snapshot went past already are passed over', async () => {
    const store = createMemoryStore();
    await store.discardReplica('s');
    const record = { collection: 'stoku', id: 'a', partition: 'p', data: { n: 5 }, recordVersion: 5 };
    await store.applySnapshot({ page: 'x', at: 'c4', more: false, records: [record] });
    const { changes } = frameOf(4);
    const same = { ...changes[0]!, id: 'a', recordVersion: 5, version: 5, data: { n: 5 } };
    const applied = await store.applyDelta({
      from: 'c4',
      to: 'c5',
      changes: [{ ...changes[0]!, id: 'a' }, same],
    });
    expect(applied).to.deep.equal([same]);
    expect((await store.get('stoku', 'a'))?.data).to.deep.equal({ n: 5 });
  });

  it('[P6] acknowledges before the credits run out, and soon when there is no more', async () => {
    gateway.credits = 4;
    const watched = await startClient(gateway);
    await until(() => watched.client.state.name === 'live');
    for (let i = 0; i < 50; i += 1) gateway.commit(put(`r${i}`));
    await until(() => history(watched).length === 50);
    await until(() => JSON.stringify(gateway.acks.at(-1)) === '{"to":"e1.50"}');
    expect(gateway.maxUnacked).to.be.at.most(4);
  });

  it('[P6] acknowledges after half the credits without waiting for a timer', async () => {
    gateway.credits = 4;
    gateway.faults.delta = (frame) => [{ ...frame, more: false }];
    const never = { now: () => 0, after: () => () => undefined };
    const watched = await startClient(gateway, { clock: never });
    await until(() => watched.client.state.name === 'live');
    for (let i = 0; i < 20; i += 1) gateway.commit(put(`r${i}`));
    await until(() => history(watched).length === 20);
    await until(() => JSON.stringify(gateway.acks.at(-1)) === '{"to":"e1.20"}');
  });

  it('[S] another subscription means another replica: it says hello without the cursor', async () => {
    gateway.commit(put('a'));
    const watched = await startClient(gateway);
    await until(() => watched.client.state.name === 'live');
    await watched.client.subscribe({ collection: 'fatura' });
    await until(() => gateway.hellos.length === 2 && watched.client.state.name === 'live');
    expect(gateway.hellos[1]).to.include({ cursor: null });
    expect(gateway.hellos[1]?.subscribe.map((one) => one.collection)).to.deep.equal(['stoku', 'fatura']);
  });

  it('[S] a frame that does not parse is not applied', async () => {
    const watched = await startClient(gateway);
    await until(() => watched.client.state.name === 'live');
    gateway.say('sync:delta', { from: 'e1.0', to: 'e1.1', more: false, changes: [{ id: 7 }] });
    await until(() => gateway.hellos.length === 2);
    expect(watched.of('error')[0]?.message).to.equal('sync:delta does not parse');
  });
});

function frameOf(version: number): Delta {
  const common = { collection: 'stoku', partition: 'p', at: '', by: { principal: 'x' }, index: 0 };
  const change = {
    ...common,
    version,
    id: `r${version}`,
    op: 'put' as const,
    data: {},
    recordVersion: version,
  };
  return { from: `e1.${version - 1}`, to: `e1.${version}`, more: false, changes: [change] };
}

function isContiguous(versions: readonly number[]): boolean {
  return versions.every((version, i) => i === 0 || version === versions[i - 1]! + 1);
}

/** The store's own check would hide what is tried here. */
function withoutCursorCheck(store: Store): Store {
  store.applyDelta = ({ changes }) => Promise.resolve([...changes]);
  return store;
}
