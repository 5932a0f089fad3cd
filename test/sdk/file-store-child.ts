import { DatabaseSync } from '@photostructure/sqlite';
import { createFileStore } from '../../sdk/file-store.ts';

/**
 * Killed by file-store.test.ts in the middle of its work. `own`: enqueues and applies in its own file; `shared`: moves
 * captured rows of an ERP database to the outbox and writes what comes down into the ERP's table.
 */
const [, , mode = 'own', path = ''] = process.argv;

const applied = (changes: readonly { id: string }[], database: InstanceType<typeof DatabaseSync>): void => {
  for (const { id } of changes) database.prepare('INSERT INTO erp_items (id) VALUES (?)').run(id);
};
const database = mode === 'shared' ? new DatabaseSync(path) : undefined;
const store = createFileStore(database ? { database, onApply: applied } : { path });
await store.open();
const position = await store.position();
if (position.cursor === null) {
  await store.discardReplica('s');
  await store.applySnapshot({ page: 'p', at: '0', more: false, records: [] });
}
for (let n = Number((await store.position()).cursor) + 1; ; n += 1) {
  if (database)
    store.enqueueInTransaction((transaction) => {
      transaction.database.exec('INSERT INTO erp_captured DEFAULT VALUES');
      transaction.enqueue({ mutations: [{ collection: 'stoku', id: `up${n}`, op: 'put', data: { n } }] });
    });
  else await store.enqueue({ mutations: [{ collection: 'stoku', id: `up${n}`, op: 'put', data: { n } }] });
  process.stdout.write(`enqueued ${n}\n`);
  const common = { collection: 'stoku', partition: 'p', at: '', by: { principal: 'x' }, op: 'put' as const };
  const changes = [0, 1].map((index) => ({
    ...common,
    version: n,
    index,
    id: `${n}-${index}`,
    recordVersion: n,
    data: {},
  }));
  await store.applyDelta({ from: String(n - 1), to: String(n), changes });
  process.stdout.write(`applied ${n}\n`);
}
