import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Delta } from '../../protocol/sync.ts';
import { ALL, connectWire, startSyncGateway, tokenFor, until } from '../support/sync-gateway.ts';
import type { SyncGateway, WireClient } from '../support/sync-gateway.ts';
import { applied, asset, patch, resultsOf, stock } from './setup.ts';

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
     made AS (INSERT INTO records (tenant_id, collection, id, partition, version, base_version, data, bytes)
              SELECT 1, 'assets', 'fill-' || lpad(g::text, 8, '0'), 'b1', version, version, data, octet_length(data::text) FROM rows)
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
    const ahead = (silent.cursor ?? '').replace(/\.[^.]+\./, '.zzzzzz.');
    for (const body of [
      { to: 'rubbish' },
      { to: ahead },
      { page: 'p.x' },
      {},
      null,
      'x',
      { to: silent.deltas[0]?.from },
    ])
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
    [
      '[C6] a page after an id that none can have',
      (c) => `p.${Buffer.from(JSON.stringify([c, 'stoku', 'a\u0000'])).toString('base64url')}`,
    ],
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
