import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Delta, Subscription } from '../../protocol/sync.ts';
import { addTenant, ALL, connectWire, startSyncGateway, tokenFor, until } from '../support/sync-gateway.ts';
import type { SyncGateway, WireClient } from '../support/sync-gateway.ts';
import { applied, asset, firstResult, patch, refusalOf, resultsOf, stock, useGateway } from './setup.ts';

const stoku = (...partitions: string[]): Subscription[] => [{ collection: 'stoku', partitions }];

/** Puts records into the log without the wire, for large histories. */
async function fill(
  gateway: SyncGateway,
  options: { count: number; perVersion: number; text?: number },
): Promise<void> {
  const { count, perVersion, text = 10 } = options;
  await gateway.db.sql(
    `WITH clock AS (UPDATE sync_versions SET head = head + $1::int / $2::int WHERE tenant_id = 1 RETURNING head - $1::int / $2::int AS base),
     rows AS (SELECT g, base + g / $2::int + 1 AS version, jsonb_build_object('name', 'r' || g, 'text', repeat('x', $3::int)) AS data
              FROM generate_series(0, $1::int - 1) g, clock),
     made AS (INSERT INTO records (tenant_id, collection, id, partition, version, base_version, data)
              SELECT 1, 'assets', 'fill-' || lpad(g::text, 8, '0'), 'b1', version, version, data FROM rows)
     INSERT INTO changes (tenant_id, version, idx, collection, record_id, op, partition, data, bytes, at, mark, principal)
     SELECT 1, version, g % $2::int, 'assets', 'fill-' || lpad(g::text, 8, '0'), 'put', 'b1', data, octet_length(data::text), now(), version * 7, 'client:x' FROM rows`,
    [count, perVersion, text],
  );
}

async function expectEqualToDatabase(client: WireClient, gateway: SyncGateway): Promise<void> {
  const rows = await gateway.db.sql<{ key: string; version: number; data: unknown }>(
    `SELECT collection || '/' || id AS key, version, data FROM records WHERE tenant_id = 1`,
  );
  const stored = new Map(rows.map(({ key, version, data }) => [key, { version, data }]));
  expect(client.records.size).to.equal(stored.size);
  for (const [key, record] of client.records) expect(record, key).to.deep.equal(stored.get(key));
}

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
    const before = feed.size;
    b.socket.emit('sync:subscribe', { collection: 'assets' });
    b.close();
    await until('the close', () => feed.size < before);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(feed.size).to.equal(before - 1);
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

describe('sync: snapshot, resume and credits', () => {
  let gateway: SyncGateway;
  const clients: WireClient[] = [];
  const connect = async (options?: Parameters<typeof connectWire>[1]) => {
    const client = await connectWire(gateway.url, options);
    clients.push(client);
    return client;
  };
  before(async () => (gateway = await startSyncGateway()));
  afterEach(() => clients.splice(0).forEach((client) => client.close()));
  after(() => gateway.close());

  it('[D6] a catch-up over 50,000 changes comes in bounded frames of whole versions, without loss', async () => {
    const token = tokenFor();
    const a = await connect({ token });
    await a.hello({ subscribe: [{ collection: 'assets' }] });
    await until('the snapshot', () => a.cursor !== null);
    a.close();
    await fill(gateway, { count: 50_000, perVersion: 25 });
    const b = await connect({ token });
    b.cursor = a.cursor;
    expect((await b.hello({ subscribe: [{ collection: 'assets' }] })).mode).to.equal('resume');
    await until('everything', () => b.applied.length === 50_000);
    expect(b.faults).to.deep.equal([]);
    expect(new Set(b.applied).size).to.equal(50_000);
    const sizes = b.deltas.map((frame) => JSON.stringify(frame).length);
    expect(Math.max(...sizes)).to.be.below(1_800_000);
    expect(sizes.length).to.be.above(10);
  });

  it('[SN1] [SN2] a snapshot while writers write ends equal to the database', async () => {
    const writers = await Promise.all([0, 1, 2].map(() => connect()));
    for (const writer of writers) await writer.hello({ subscribe: [] });
    const reader = await connect();
    let writing = true;
    const work = writers.map(async (writer, w) => {
      for (let i = 0; writing || i < 40; i += 1) {
        const id = `sn-${(i * 7 + w) % 40}`;
        await writer.push([i % 5 === 4 ? { collection: 'assets', id, op: 'delete' } : asset(id, { i })]);
        await writer.push([
          patch(`fill-${String((i * 997) % 50_000).padStart(8, '0')}`, { set: { status: `${i}` } }, 'assets'),
        ]);
      }
    });
    await reader.hello({ subscribe: ALL });
    await until('the snapshot', () => reader.cursor !== null, 20_000);
    writing = false;
    await Promise.all(work);
    const [clock] = await gateway.db.sql<{ head: number }>('SELECT head FROM sync_versions');
    await until('the head', () => Number.parseInt(reader.cursor?.split('.')[1] ?? '', 36) === clock?.head);
    expect(reader.faults).to.deep.equal([]);
    await expectEqualToDatabase(reader, gateway);
    const ids = reader.snapshots.flatMap(({ records }) =>
      records.map(({ collection, id }) => `${collection}/${id}`),
    );
    expect(new Set(ids).size).to.equal(ids.length);
    expect(reader.snapshots.map(({ more }) => more).lastIndexOf(true)).to.equal(reader.snapshots.length - 2);
  }).timeout(40_000);

  it('[SN3] a snapshot that was cut goes on from its page', async () => {
    const token = tokenFor();
    const a = await connect({ token });
    await a.hello({ subscribe: ALL });
    await until('some pages', () => a.snapshots.length >= 3);
    a.close();
    const b = await connect({ token });
    b.records = a.records;
    b.page = a.page;
    expect((await b.hello({ subscribe: ALL })).mode).to.equal('snapshot');
    await until('the end', () => b.cursor !== null);
    expect(
      b.snapshots[0]?.records.some(({ id }) => a.snapshots[0]?.records.some((r) => r.id === id)),
    ).to.equal(false);
    await expectEqualToDatabase(b, gateway);
  });

  it('[SN3] a page behind an id as long as ids may be is a cursor that fits', async () => {
    const a = await connect();
    await a.hello({ subscribe: [] });
    await applied(a, { collection: 'settings', id: 'ë"'.repeat(100), op: 'put', data: { value: 1 } });
    const b = await connect();
    await b.hello({ subscribe: [{ collection: 'settings' }] });
    await until('the snapshot', () => b.snapshots.length === 2);
    const c = await connect();
    const reply = await c.hello({
      subscribe: [{ collection: 'settings' }],
      cursor: b.snapshots[0]?.page ?? '',
    });
    expect(reply.mode).to.equal('snapshot');
  });

  it('[SN4] large records make short pages', async () => {
    const a = await connect();
    await a.hello({ subscribe: [] });
    for (let i = 0; i < 24; i += 1)
      await resultsOf(a, [
        {
          collection: 'porosia',
          id: `sn4-${i}`,
          op: 'put',
          data: { number: '1', status: 'draft', x: 'x'.repeat(250_000) },
        },
      ]);
    const b = await connect();
    await b.hello({ subscribe: [{ collection: 'porosia' }] });
    await until('the snapshot', () => b.cursor !== null);
    expect(Math.max(...b.snapshots.map((page) => JSON.stringify(page).length))).to.be.below(1_000_000);
    expect(b.records.size).to.equal(24);
  });

  it('[CR1] [CR3] sends `credits` frames or 1 MiB, then waits for an acknowledgement; others are unharmed', async () => {
    const [silent, other, writer] = [await connect({ acks: false }), await connect(), await connect()];
    const { credits } = await silent.hello({ subscribe: [{ collection: 'stoku' }] });
    for (const client of [other, writer]) await client.hello({ subscribe: [{ collection: 'stoku' }] });
    await until('the snapshots', () => silent.cursor !== null && other.cursor !== null);
    for (let i = 0; i < 100; i += 1) await applied(writer, stock(`cr1-${i}`));
    await until('the others', () => other.records.has('stoku/cr1-99'));
    const frames = () => silent.deltas.length + silent.snapshots.length;
    expect(frames()).to.equal(credits);
    silent.socket.emit('sync:ack', { to: silent.cursor });
    await until('the rest', () => silent.records.has('stoku/cr1-99'));
    expect(silent.faults).to.deep.equal([]);
  });

  it('[CR1] bytes count as well as frames', async () => {
    const silent = await connect({ acks: false });
    await silent.hello({ subscribe: [{ collection: 'porosia' }, { collection: 'assets' }] });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const bytes = () => silent.snapshots.reduce((sum, page) => sum + JSON.stringify(page.records).length, 0);
    expect(bytes()).to.be.within(1024 * 1024, 2 * 1024 * 1024);
    const before = silent.snapshots.length;
    silent.socket.emit('sync:ack', { page: silent.snapshots.at(-1)?.page });
    await until('more pages', () => silent.snapshots.length > before);
  });

  it('[CR2] [CR4] an acknowledgement frees all before it; one that names nothing frees nothing', async () => {
    const [silent, writer] = [await connect({ acks: false }), await connect()];
    await silent.hello({
      subscribe: [{ collection: 'fatura' }, { collection: 'stoku', partitions: ['cr2'] }],
    });
    await writer.hello({ subscribe: [] });
    await until('the snapshot', () => silent.cursor !== null);
    silent.socket.emit('sync:ack', { page: silent.snapshots.at(-1)?.page });
    for (let i = 0; i < 70; i += 1) await applied(writer, stock(`cr2-${i}`, 1, { partition: 'cr2' }));
    await until('the credits’ end', () => silent.deltas.length >= 63);
    for (const body of [{ to: 'rubbish' }, { page: 'p.x' }, {}, null, 'x', { to: silent.deltas[0]?.from }])
      silent.socket.emit('sync:ack', body);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(silent.records.has('stoku/cr2-69')).to.equal(false);
    silent.socket.emit('sync:ack', { to: silent.deltas.at(-1)?.to });
    await until('the rest', () => silent.records.has('stoku/cr2-69'));
  });

  const parts = (cursor: string) => cursor.split('.') as [string, string, string, string];
  const forgeries: [string, (cursor: string) => string][] = [
    ['[C2] another epoch', (c) => ['0000dead', ...parts(c).slice(1)].join('.')],
    ['[C3] [I9] a forged mark', (c) => [parts(c)[0], parts(c)[1], 'zzz', parts(c)[3]].join('.')],
    ['[C4] beyond the head', (c) => [parts(c)[0], 'zzzzzz', parts(c)[2], parts(c)[3]].join('.')],
    ['[C5] another slice', (c) => [...parts(c).slice(0, 3), 'AAAAAAAA'].join('.')],
    ['[C6] rubbish', () => 'p.!!!'],
    ['[C6] a page that is none', () => `p.${Buffer.from('[1,2,3]').toString('base64url')}`],
  ];
  for (const [what, forge] of forgeries) {
    it(`${what}: reset, then a snapshot`, async () => {
      const [a, b] = [await connect(), await connect()];
      await a.hello({ subscribe: [{ collection: 'stoku' }] });
      await until('the snapshot', () => a.cursor !== null);
      const reply = await b.hello({ subscribe: [{ collection: 'stoku' }], cursor: forge(a.cursor ?? '') });
      expect(reply.mode).to.equal('reset');
      await until('the snapshot', () => b.cursor !== null);
      expect(b.records.size).to.equal(a.records.size);
    });
  }

  it('[C5] [I9] a slice that was widened while the client was away: reset', async () => {
    const id = randomUUID();
    const a = await connect({ token: tokenFor({ id, partitions: ['b1'] }) });
    await a.hello({ subscribe: [{ collection: 'stoku' }] });
    await until('the snapshot', () => a.cursor !== null);
    const b = await connect({ token: tokenFor({ id, partitions: ['b1', 'b2'] }) });
    expect((await b.hello({ subscribe: [{ collection: 'stoku' }], cursor: a.cursor })).mode).to.equal(
      'reset',
    );
  });

  it('[C1] [C6] below what the log still has: reset', async () => {
    const a = await connect();
    await a.hello({ subscribe: [{ collection: 'stoku' }] });
    await until('the snapshot', () => a.cursor !== null);
    await applied(a, stock('c6'));
    await gateway.db.sql('UPDATE sync_versions SET floor = head WHERE tenant_id = 1');
    const b = await connect();
    const old = a.snapshots.at(-1)?.at ?? '';
    expect((await b.hello({ subscribe: [{ collection: 'stoku' }], cursor: old })).mode).to.equal('reset');
  });

  it('[D7] what comes from memory is what comes from the log', async () => {
    const [live, writer] = [await connect(), await connect()];
    await live.hello({ subscribe: ALL });
    await writer.hello({ subscribe: [] });
    await until('the snapshot', () => live.cursor !== null);
    const from = live.cursor;
    for (let i = 0; i < 10; i += 1)
      await writer.push([asset(`d7-${i}`, { name: 'ë', n: 0.1 + i }), stock(`d7-${i}`, i)]);
    await until('it', () => live.records.has('stoku/d7-9'));
    const cold = await startSyncGateway({ databaseUrl: gateway.databaseUrl });
    const late = await connectWire(cold.url);
    late.cursor = from;
    await late.hello({ subscribe: ALL });
    await until('it', () => late.records.has('stoku/d7-9'));
    const changes = (deltas: Delta[]) => deltas.flatMap((delta) => delta.changes);
    expect(changes(late.deltas)).to.deep.equal(changes(live.deltas));
    expect(late.cursor).to.equal(live.cursor);
    late.close();
    await cold.close();
  });
});
