import { spawn } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { expect } from 'chai';
import { createFileStore } from '../../sdk/file-store.ts';
import type { FileStore, FileStoreOptions } from '../../sdk/file-store.ts';
import { put } from './support.ts';

const CHILD = new URL('file-store-child.ts', import.meta.url).pathname;
let directory = '';
let path = '';
const opened: FileStore[] = [];

async function open(options: FileStoreOptions): Promise<FileStore> {
  const store = createFileStore(options);
  opened.push(store);
  await store.open();
  return store;
}

describe('sdk file store', () => {
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sluice-file-'));
    path = join(directory, 'client.db');
  });
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close();
    rmSync(directory, { recursive: true });
  });

  it('[P1] commits with WAL and synchronous=FULL', async () => {
    const { database } = await open({ path });
    expect(database.prepare('PRAGMA journal_mode').get()).to.deep.equal({ journal_mode: 'wal' });
    expect(database.prepare('PRAGMA synchronous').get()).to.deep.equal({ synchronous: 2 });
  });

  it('a file beside the store that cannot be written is a fault of the store, with its cause', async () => {
    mkdirSync(`${path}.incarnation.tmp`);
    const fault = await createFileStore({ path })
      .open()
      .catch((error: unknown) => error);
    expect(fault).to.include({ name: 'SluiceError', code: 'store_failed' });
    expect((fault as Error).cause).to.include({ code: 'EISDIR' });
    rmSync(`${path}.incarnation.tmp`, { recursive: true });
    expect((await open({ path })).restored).to.equal(false);
  });

  it('[F35] the same file opened again keeps its incarnation', async () => {
    const first = await open({ path });
    const { incarnation } = await first.identity();
    await first.close();
    const second = await open({ path });
    expect((await second.identity()).incarnation).to.equal(incarnation);
    expect(second.restored).to.equal(false);
  });

  it('[F35] a copy takes a new incarnation and numbers its outbox again, with the same batchIds', async () => {
    const first = await open({ path });
    await first.enqueue({ mutations: [put('a')] });
    const { batchId } = await first.enqueue({ mutations: [put('b')] });
    await first.settle([
      { batchId: (await first.outbox({ after: 0, limit: 1 }))[0]!.batchId, outcome: 'applied' },
    ]);
    const before = await first.identity();
    await first.close();
    const copy = join(directory, 'copy');
    cpSync(path, join(copy, 'client.db'));
    cpSync(`${path}.incarnation`, join(copy, 'client.db.incarnation'));
    const second = await open({ path: join(copy, 'client.db') });
    expect(second.restored).to.equal(true);
    expect(await second.identity()).to.include({ clientId: before.clientId, nextSeq: 2 });
    expect((await second.identity()).incarnation).to.not.equal(before.incarnation);
    expect((await second.outbox({ after: 0, limit: 9 })).map((one) => [one.seq, one.batchId])).to.deep.equal([
      [1, batchId],
    ]);
  });

  it('[F35] an older backup copied back over the file is noticed', async () => {
    const first = await open({ path });
    const { incarnation } = await first.identity();
    await first.close();
    copyFileSync(path, `${path}.backup`);
    for (let i = 0; i < 2; i += 1) await (await open({ path })).close();
    copyFileSync(`${path}.backup`, path);
    const restored = await open({ path });
    expect(restored.restored).to.equal(true);
    expect((await restored.identity()).incarnation).to.not.equal(incarnation);
  });

  it('passes to the newer owner; the older one writes nothing any more', async () => {
    const older = await open({ path });
    const newer = await open({ path });
    const failure = await older.enqueue({ mutations: [put('a')] }).catch((error: unknown) => error);
    expect(failure).to.include({ code: 'store_in_use' });
    expect((await newer.enqueue({ mutations: [put('b')] })).seq).to.equal(1);
  });

  it('read only: looks without taking it over', async () => {
    const owner = await open({ path });
    await owner.enqueue({ mutations: [put('a')] });
    const looking = await open({ path, readOnly: true });
    expect(await looking.outboxCount()).to.equal(1);
    const failure = await looking.enqueue({ mutations: [put('b')] }).catch((error: unknown) => error);
    expect(failure).to.include({ code: 'store_failed' });
    expect((await owner.enqueue({ mutations: [put('b')] })).seq).to.equal(2);
  });

  it('batches enqueued in one turn are committed together; one that is refused leaves the others be', async () => {
    const store = await open({ path, maxOutbox: 3 });
    const ids = ['a', 'Bad!', 'b', 'c', 'd'];
    const results = await Promise.allSettled(
      ids.map((id) => store.enqueue({ mutations: [put(id, {}, id === 'Bad!' ? 'Bad!' : 'stoku')] })),
    );
    const said = results.map((one) =>
      one.status === 'fulfilled' ? one.value.seq : (one.reason as { code: string }).code,
    );
    expect(said).to.deep.equal([1, 'invalid_batch', 2, 3, 'outbox_full']);
    expect(await store.outboxCount()).to.equal(3);
  });

  it('[F22] disk full: the push is refused, nothing is half written, and it goes on when there is room', async () => {
    const store = await open({ path });
    const pages = store.database.prepare('PRAGMA page_count').get() as { page_count: number };
    store.database.exec(`PRAGMA max_page_count = ${pages.page_count + 3}`);
    const big = (): Promise<unknown> =>
      store.enqueue({ mutations: [put('a', { text: 'x'.repeat(60_000) })] }).catch((error: unknown) => error);
    expect(await big()).to.include({ code: 'store_failed' });
    expect([await store.outboxCount(), (await store.identity()).nextSeq]).to.deep.equal([0, 1]);
    store.database.exec('PRAGMA max_page_count = 100000');
    expect(await big()).to.include({ seq: 1 });
  });

  it('lives in the ERP database: leaves its journal mode and stays out of its tables', async () => {
    const database = erpDatabase();
    const store = await open({ database });
    await store.enqueue({ mutations: [put('a')] });
    await store.close();
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all() as {
      name: string;
    }[];
    const foreign = tables.map((one) => one.name).filter((name) => !/^(erp|sluice|sqlite)_/.test(name));
    expect(foreign).to.deep.equal([]);
    expect(database.prepare('PRAGMA journal_mode').get()).to.deep.equal({ journal_mode: 'delete' });
    expect(database.isOpen).to.equal(true);
    database.close();
  });

  it('[P4] hooks write in the same transaction: when one throws, neither data nor cursor are stored', async () => {
    const database = erpDatabase();
    let fail = true;
    const onApply: FileStoreOptions['onApply'] = (changes, tx) => {
      for (const { id } of changes) tx.prepare('INSERT INTO erp_items (id) VALUES (?)').run(id);
      if (fail) throw new Error('the ERP refuses');
    };
    const store = await open({ database, onApply });
    await store.applySnapshot({ page: 'p', at: '0', more: false, records: [] });
    const delta = { from: '0', to: '1', changes: [change('a')] };
    const failure = await store.applyDelta(delta).catch((error: unknown) => error);
    expect(failure).to.include({ message: 'the ERP refuses' });
    expect([
      rows(database, 'erp_items'),
      await store.count('stoku'),
      (await store.position()).cursor,
    ]).to.deep.equal([0, 0, '0']);
    fail = false;
    await store.applyDelta(delta);
    expect([
      rows(database, 'erp_items'),
      await store.count('stoku'),
      (await store.position()).cursor,
    ]).to.deep.equal([1, 1, '1']);
    database.close();
  });

  it('hooks hear of snapshot records, the discard before and the end after them, and of verdicts', async () => {
    const database = erpDatabase();
    const heard: string[] = [];
    const store = await open({
      database,
      onDiscard: () => heard.push('discard'),
      onSnapshotRecords: (records) => heard.push(`records ${records.length}`),
      onSnapshotEnd: (tx) => heard.push(`end ${rows(tx, 'sluice_records')}`),
      onSettled: (settled) => heard.push(`settled ${settled.length}`),
    });
    const record = { collection: 'stoku', id: 'a', partition: 'p', data: {}, recordVersion: 1 };
    await store.discardReplica('s');
    await store.applySnapshot({ page: 'p1', at: '1', more: true, records: [record] });
    await store.applySnapshot({ page: 'p2', at: '1', more: false, records: [{ ...record, id: 'b' }] });
    const { batchId } = await store.enqueue({ mutations: [put('c')] });
    await store.settle([{ batchId, outcome: 'applied' }]);
    expect(heard).to.deep.equal(['discard', 'records 1', 'records 1', 'end 2', 'settled 1']);
    database.close();
  });

  it('[P4] enqueueInTransaction moves captured rows to the outbox together, or not at all', async () => {
    const database = erpDatabase();
    const store = await open({ database });
    let woken = 0;
    store.onEnqueued(() => (woken += 1));
    const move = (fail: boolean): void =>
      store.enqueueInTransaction((transaction) => {
        transaction.database.exec('DELETE FROM erp_captured');
        transaction.enqueue({ mutations: [put('a')] });
        transaction.enqueue({ mutations: [put('b')] });
        if (fail) throw new Error('stop');
      });
    database.exec('INSERT INTO erp_captured (n) VALUES (1), (2)');
    expect(() => move(true)).to.throw('stop');
    expect([rows(database, 'erp_captured'), await store.outboxCount(), woken]).to.deep.equal([2, 0, 0]);
    move(false);
    expect([rows(database, 'erp_captured'), await store.outboxCount(), woken]).to.deep.equal([0, 2, 1]);
    database.close();
  });

  it('[F35] the local database is locked for too long: an error with a code, nothing half done', async () => {
    const store = await open({ path });
    store.database.exec('PRAGMA busy_timeout = 20');
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    const failure = await store.enqueue({ mutations: [put('a')] }).catch((error: unknown) => error);
    other.exec('ROLLBACK');
    other.close();
    expect(failure).to.include({ code: 'store_failed' });
    expect((await store.enqueue({ mutations: [put('a')] })).seq).to.equal(1);
  });

  for (const mode of ['own', 'shared'])
    it(`[F23][P1] SIGKILL in mid-work (${mode}): what was confirmed is there, cursor and data agree`, async function () {
      this.timeout(60_000);
      if (mode === 'shared') erpDatabase().close();
      for (let round = 0; round < 4; round += 1) {
        const { enqueued, applied } = await killInMidWork(mode, path, 30 + round * 17);
        await checkWhole(mode, { enqueued, applied });
      }
    });
});

/** No half state: the outbox counts up to nextSeq, the records are exactly those of the cursor. */
async function checkWhole(mode: string, confirmed: { enqueued: number; applied: number }): Promise<void> {
  const database = mode === 'shared' ? new DatabaseSync(path) : undefined;
  const store = createFileStore(database ? { database } : { path });
  await store.open();
  const cursor = Number((await store.position()).cursor);
  const { nextSeq } = await store.identity();
  expect(store.restored).to.equal(false);
  expect(cursor).to.be.at.least(confirmed.applied);
  expect(nextSeq - 1).to.be.at.least(confirmed.enqueued);
  expect(await store.outboxCount()).to.equal(nextSeq - 1);
  expect(await store.count('stoku')).to.equal(cursor * 2);
  if (database) {
    expect(rows(database, 'erp_items')).to.equal(cursor * 2);
    expect(rows(database, 'erp_captured')).to.equal(nextSeq - 1);
  }
  await store.close();
  database?.close();
}

/** Starts the child, kills it after it has confirmed so many steps, and returns what it had confirmed. */
function killInMidWork(
  mode: string,
  file: string,
  steps: number,
): Promise<{ enqueued: number; applied: number }> {
  const child = spawn(process.execPath, ['--import', 'tsx', CHILD, mode, file], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const confirmed = { enqueued: 0, applied: 0 };
  let [seen, rest, errors] = [0, '', ''];
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  child.stdout.on('data', (data: Buffer) => {
    const lines = (rest + data.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [what, n] = line.split(' ') as ['enqueued' | 'applied', string];
      confirmed[what] = Number(n);
      if ((seen += 1) === steps) child.kill('SIGKILL');
    }
  });
  return new Promise((resolve, reject) => {
    child.on('close', (_code, signal) => {
      if (signal === 'SIGKILL') resolve(confirmed);
      else reject(new Error(`the child ended by itself: ${errors}`));
    });
  });
}

function erpDatabase(): InstanceType<typeof DatabaseSync> {
  const database = new DatabaseSync(path);
  database.exec(
    'CREATE TABLE erp_items (id TEXT PRIMARY KEY); CREATE TABLE erp_captured (n INTEGER PRIMARY KEY)',
  );
  return database;
}

function rows(database: InstanceType<typeof DatabaseSync>, table: string): number {
  return (database.prepare(`SELECT count(*) AS n FROM ${table}`).get() as { n: number }).n;
}

function change(id: string): Parameters<FileStore['applyDelta']>[0]['changes'][0] {
  const common = { collection: 'stoku', partition: 'p', at: '', by: { principal: 'x' }, index: 0 };
  return { ...common, id, op: 'put', version: 1, recordVersion: 1, data: {} };
}
