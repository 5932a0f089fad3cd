import { expect } from 'chai';
import type { Subscription } from '../../protocol/sync.ts';
import { addTenant, ALL, tokenFor, until } from '../support/sync-gateway.ts';
import type { WireClient } from '../support/sync-gateway.ts';
import { applied, asset, firstResult, patch, refusalOf, stock, useGateway } from './setup.ts';

const stoku = (...partitions: string[]): Subscription[] => [{ collection: 'stoku', partitions }];

describe('sync: delivery', () => {
  const suite = useGateway();
  const subscriber = async (subscribe: Subscription[], token = tokenFor()) => {
    const client = await suite.client({ token });
    await client.hello({ subscribe });
    await until('the snapshot', () => client.cursor !== null);
    return client;
  };

  it('[D1] each frame starts where the one before ended, for many subscribers of different slices', async () => {
    const writers = await Promise.all(Array.from({ length: 4 }, () => suite.greeted()));
    const readers = await Promise.all(
      [ALL, ALL, stoku('b1'), stoku('b2'), stoku('b1', 'b2'), [{ collection: 'assets' }]].map((s) =>
        subscriber(s),
      ),
    );
    for (let i = 0; i < 20; i += 1) {
      await Promise.all(
        writers.map((w, n) =>
          w.push([stock(`d1-${i}-${n}`, i, { partition: `b${(i + n) % 3}` }), asset(`d1-${i}-${n}`)]),
        ),
      );
    }
    const last = async () =>
      (await suite.gateway.db.sql<{ head: number }>('SELECT head FROM sync_versions'))[0]?.head;
    expect(await last()).to.be.at.least(80);
    await until('all of it', () => readers.every(({ records }) => records.size >= 26));
    await until('the busiest', () => (readers[0]?.applied.length ?? 0) >= 160);
    expect(readers.flatMap(({ faults }) => faults)).to.deep.equal([]);
    expect(readers.map(({ applied: list }) => new Set(list).size === list.length)).to.deep.equal(
      Array(6).fill(true),
    );
  });

  it('[D2] [S63] nobody sees a foreign partition', async () => {
    const [a, b] = [
      await suite.greeted(),
      await subscriber(stoku('mine'), tokenFor({ partitions: ['mine'] })),
    ];
    const all = await subscriber([{ collection: 'stoku' }], tokenFor({ partitions: ['mine', 'also:read'] }));
    await applied(a, stock('d2-foreign', 1, { partition: 'theirs' }));
    await applied(a, stock('d2-also', 1, { partition: 'also' }));
    await applied(a, stock('d2-mine', 1, { partition: 'mine' }));
    await until('one’s own', () => b.records.has('stoku/d2-mine') && all.records.has('stoku/d2-mine'));
    expect([...b.records.keys()]).to.deep.equal(['stoku/d2-mine']);
    expect([...all.records.keys()]).to.deep.equal(['stoku/d2-also', 'stoku/d2-mine']);
  });

  it('[D2] [S63] [I8] nobody sees or changes another tenant, whatever ids and cursors it uses', async () => {
    const tenantId = await addTenant(suite.gateway.db);
    const [a, mine] = [await suite.greeted(), await subscriber(ALL)];
    const theirs = await subscriber(ALL, tokenFor({ tenantId }));
    await applied(a, stock('d2-tenant', 5));
    expect((await firstResult(theirs, patch('d2-tenant', { increment: { quantity: 1 } }))).code).to.equal(
      'not_found',
    );
    await applied(theirs, stock('d2-tenant', 9));
    await until('both', () => mine.records.has('stoku/d2-tenant') && theirs.records.has('stoku/d2-tenant'));
    expect([...theirs.records.keys()]).to.deep.equal(['stoku/d2-tenant']);
    expect(mine.records.get('stoku/d2-tenant')?.data).to.include({ quantity: 5 });
    const other = await suite.client({ token: tokenFor({ tenantId }) });
    expect((await other.hello({ cursor: mine.cursor })).mode).to.equal('reset');
    const stolen = await suite.greeted({
      token: tokenFor({ tenantId }),
      clientId: a.clientId,
      incarnation: a.incarnation,
    });
    expect(stolen.nextSeq).to.equal(1);
  });

  it('[D3] a record that moves: evict for the one slice, the whole record for the other', async () => {
    const a = await suite.greeted();
    const [b1, b2, both] = [
      await subscriber(stoku('m1')),
      await subscriber(stoku('m2')),
      await subscriber(stoku('m1', 'm2')),
    ];
    await applied(a, stock('d3', 4, { partition: 'm1' }));
    await applied(a, patch('d3', { partition: 'm2', increment: { quantity: 1 } }));
    await until('the move', () => b2.records.has('stoku/d3') && !b1.records.has('stoku/d3'));
    await until('the move', () => both.applied.length === 2);
    const op = (client: WireClient) => client.deltas.flatMap((d) => d.changes).at(-1);
    expect(op(b1)).to.include({ op: 'evict', partition: 'm1' });
    expect(op(b1)).to.not.have.property('data');
    expect(op(b2)?.data).to.deep.equal({ sku: 'd3', quantity: 5 });
    expect(op(both)).to.include({ op: 'put', partition: 'm2' });
    await applied(a, { collection: 'stoku', id: 'd3', op: 'delete' });
    await until('the end', () => !b2.records.has('stoku/d3'));
    expect(op(b1)).to.include({ op: 'evict' });
  });

  it('[D4] what is not for a subscriber still moves its cursor', async () => {
    const [a, b] = [await suite.greeted(), await subscriber(stoku('quiet'))];
    const before = b.cursor;
    await applied(a, asset('d4'));
    await until('a new position', () => b.cursor !== before, 3_000);
    expect(b.deltas.at(-1)?.changes).to.deep.equal([]);
    const again = await suite.client();
    const reply = await again.hello({ subscribe: stoku('quiet'), cursor: b.cursor });
    expect(reply.mode).to.equal('resume');
  });

  it('[D5] a change says who made it, when, and from which batch', async () => {
    const [a, b] = [await suite.greeted({ token: tokenFor({ id: 'writer' }) }), await subscriber(ALL)];
    const version = await applied(a, asset('d5'));
    await until('it', () => b.records.has('assets/d5'));
    const change = b.deltas.flatMap(({ changes }) => changes).find(({ id }) => id === 'd5');
    expect(change).to.deep.include({ version, index: 0, op: 'put', partition: 'b1', recordVersion: version });
    expect(change?.by).to.deep.equal({ principal: 'client:writer', clientId: a.clientId, seq: 1 });
    expect(Math.abs(Date.parse(change?.at ?? '') - Date.now())).to.be.below(10_000);
  });

  it('[D9] subscribe and unsubscribe on a live socket: sync:reset, then a snapshot of the new slice', async () => {
    const [a, b] = [await suite.greeted(), await subscriber([])];
    await applied(a, asset('d9'));
    const heard: string[] = [];
    b.socket.on('sync:reset', ({ reason }: { reason: string }) => heard.push(reason));
    b.socket.on('sync:snapshot', () => heard.push('page'));
    expect(await b.request('sync:subscribe', { collection: 'assets' })).to.deep.equal({ ok: true });
    await until('the new slice', () => b.records.has('assets/d9'));
    expect(heard[0]).to.equal('scope_changed');
    await b.request('sync:unsubscribe', { collection: 'assets' });
    await until('the second reset', () => heard.filter((what) => what === 'scope_changed').length === 2);
    await applied(a, asset('d9-later'));
    await applied(a, asset('d9-last'));
    expect(b.records.has('assets/d9-later')).to.equal(false);
    expect(refusalOf(await b.request('sync:subscribe', { collection: 'nothing' })).code).to.equal(
      'unknown_collection',
    );
  });

  it('[D9] a socket that closes while it subscribes leaves nothing behind', async () => {
    const feed = await suite.gateway.sync.follow(1);
    const b = await subscriber([]);
    expect(feed.isInUse).to.equal(true);
    b.socket.emit('sync:subscribe', { collection: 'assets' });
    b.close();
    await until('the close', () => !feed.isInUse);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(feed.isInUse).to.equal(false);
  });

  it('[D10] a client keeps a record that is newer than a change, and takes one that is equal', async () => {
    const [a, b] = [await suite.greeted(), await subscriber(ALL)];
    b.records.set('assets/d10', { data: 'local', version: 10 ** 9 });
    await applied(a, asset('d10'));
    await applied(a, asset('d10-after'));
    await until('it', () => b.records.has('assets/d10-after'));
    expect(b.records.get('assets/d10')?.data).to.equal('local');
  });
});
