import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import Koa from 'koa';
import { openDatabase } from '../../server/db.ts';
import type { Database } from '../../server/db.ts';
import { toAppError } from '../../server/errors.ts';
import { createMetrics } from '../../server/metrics.ts';
import { healthRoutes } from '../../server/routes/health.ts';
import { applied, asset, useGateway } from '../sync/setup.ts';
import { createDatabase } from '../support/database.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import type { Weather } from '../support/fault-proxy.ts';
import { pause } from '../support/fault-seed.ts';
import { until } from '../support/sync-gateway.ts';

const PATIENCE = { queryMs: 600, statementMs: 300, lockMs: 150, idleInTransactionMs: 400 };
const SLOW = { ...PATIENCE, statementMs: 20_000, lockMs: 20_000, idleInTransactionMs: 20_000 };

describe('faults: a database that is silent or locked', () => {
  const cleanUp: (() => unknown)[] = [];
  afterEach(async () => {
    for (const clean of cleanUp.splice(0).reverse()) await clean();
  });

  async function open(url: string, patience = PATIENCE): Promise<Database> {
    const db = await openDatabase({ url, migrate: false, patience });
    cleanUp.push(() => db.close());
    return db;
  }

  async function codeOf(work: Promise<unknown>): Promise<string> {
    return await work.then(
      () => 'none',
      (error: unknown) => toAppError(error).code,
    );
  }

  it('[E3] a statement or a lock that takes too long, on either pool or in a transaction: unavailable', async () => {
    const url = await createDatabase();
    const [db, other] = [await open(url), await open(url, SLOW)];
    const held = other.transaction(async ({ sql }) => {
      await sql('LOCK TABLE sync_clients');
      await pause(550);
    });
    const read = 'SELECT 1 FROM sync_clients';
    const codes = [
      codeOf(db.sql('SELECT pg_sleep(5)')),
      codeOf(db.syncPool.query('SELECT pg_sleep(5)')),
      codeOf(db.transaction(({ sql }) => sql('SELECT pg_sleep(5)'))),
      codeOf(pause(100).then(() => db.sql(read))),
    ];
    expect(new Set(await Promise.all(codes))).to.deep.equal(new Set(['unavailable']));
    await held;
    expect(await codeOf(db.sql(read))).to.equal('none');
  });

  it('[E3] a database that says nothing: unavailable, and what it says later answers nobody', async () => {
    const url = new URL(await createDatabase());
    const weather: Weather = {};
    const proxy = await startFaultProxy(() => url.href);
    proxy.weather = () => weather;
    cleanUp.push(() => proxy.close());
    const db = await open(Object.assign(new URL(url), { host: new URL(proxy.url).host }).href, SLOW);
    const ask = (text: string): Promise<unknown>[] => [
      db.sql(text),
      db.syncPool.query(text).then(({ rows }) => rows as unknown),
      db.transaction(({ sql }) => sql(text)),
    ];
    await Promise.all(ask('SELECT 1'));
    weather.stall = true;
    await pause(60);
    const codes = await Promise.all(ask('SELECT 2 AS n').map(codeOf));
    weather.stall = false;
    const later = await Promise.all(ask('SELECT 3 AS n'));
    expect(codes).to.deep.equal(['unavailable', 'unavailable', 'unavailable']);
    expect(later).to.deep.equal([[{ n: 3 }], [{ n: 3 }], [{ n: 3 }]]);
  }).timeout(15_000);

  it('[E3] health says within its own time that the database says nothing, and asks it once', async () => {
    let asked = 0;
    const db = { sql: () => ((asked += 1), new Promise<never>(() => undefined)) };
    const routes = healthRoutes({ db, metrics: createMetrics(), accepting: () => true });
    const handle = new Koa().use(routes.routes()).callback();
    const http = createServer((request, response) => void handle(request, response));
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    cleanUp.push(() => (http.closeAllConnections(), http.close()));
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    const paths = ['/health', '/health/ready', '/health/live'];
    const statuses = await Promise.all(paths.map(async (path) => (await fetch(url + path)).status));
    expect(statuses).to.deep.equal([503, 503, 200]);
    expect(asked).to.equal(1);
  });

  it('[E3] a transaction that its owner forgot ends, and gives back what it held', async () => {
    const db = await open(await createDatabase());
    const forgotten = db.transaction(async ({ sql }) => {
      await sql('LOCK TABLE sync_clients');
      await pause(900);
      await sql('SELECT 1');
    });
    expect(await codeOf(forgotten)).to.equal('unavailable');
    expect(await codeOf(db.sql('SELECT 1 FROM sync_clients'))).to.equal('none');
  });
});

describe('faults: a database that is replaced underneath a gateway', () => {
  const suite = useGateway({ poll: { minMs: 20, maxMs: 50 } });

  const disasters: [string, string][] = [
    ['restored to an earlier state', 'UPDATE sync_versions SET head = 0 WHERE tenant_id = 1'],
    ['made anew', 'UPDATE sync_versions SET epoch = gen_random_uuid() WHERE tenant_id = 1'],
  ];
  for (const [what, disaster] of disasters) {
    it(`[E7] ${what}: followers are cut off, come back to a reset, and hear what comes then`, async () => {
      const { gateway } = suite;
      const heard: number[] = [];
      const followed = await gateway.sync.follow(1);
      followed.listen(({ version }) => void heard.push(version));
      const client = await suite.greeted();
      await applied(client, asset(`before ${what}`));
      const said = new Promise((resolve) => client.socket.once('sync:closing', resolve));
      await gateway.db.sql('DELETE FROM changes');
      await gateway.db.sql('DELETE FROM records');
      await gateway.db.sql(disaster);
      expect(await said).to.include({ code: 'unavailable' });
      const again = await suite.client();
      await until('the new log', async () => (await gateway.sync.follow(1)) !== followed);
      expect((await again.hello({ cursor: client.cursor ?? 'none' })).mode).to.equal('reset');
      heard.length = 0;
      const version = await applied(again, asset(`after ${what}`));
      await until('the frame', () => again.records.has(`assets/after ${what}`) && heard.includes(version));
    });
  }
});
