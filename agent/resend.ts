import type { Mutation } from '../protocol/sync.ts';
import type { Database, EnqueueTransaction } from '../sdk/file-store.ts';
import type { InboxEntry, QueuedBatch, Settlement } from '../sdk/store.ts';
import { batchIdOf } from './batch-id.ts';
import { toId } from './convert.ts';
import type { Ledger } from './ledger.ts';
import type { Row } from './literal.ts';
import { quoteName } from './literal.ts';
import type { Mapping, MovementsMapping } from './mapping.ts';
import { sourcesOf, templateColumns } from './mapping.ts';
import { creationOf } from './planner.ts';

/**
 * Sends a refused batch again, under a batchId of its own. By itself only what was refused because the centre has lost
 * the records of its movements, and only once: the records are created first. An atomic batch that was refused has
 * changed nothing, so nothing is doubled; its new batchId follows from the old one, in a restored copy too.
 */

export interface Resender {
  /** Run inside the transaction that settles the batch. Returns what was queued in its place. */
  settle(batch: QueuedBatch, settlement: Settlement, enqueue: Enqueue): QueuedBatch[];
  /** The batchId under which a batch was sent again by itself, while that one waits for its verdict. */
  findSuccessor(batchId: string): string | undefined;
  hasRetries(): boolean;
  /** Queues what people asked for with `agent inbox --retry`. Run inside a transaction. */
  takeRetries(enqueue: Enqueue): QueuedBatch[];
}

export interface ResendOptions {
  database: Database;
  ledger: Ledger;
  mapping: Mapping;
  partition: string;
}

type Enqueue = EnqueueTransaction['enqueue'];

export function createResender(options: ResendOptions): Resender {
  const { database } = options;
  const statements = new Map<string, ReturnType<Database['prepare']>>();
  const run = (sql: string, ...params: string[]): number => {
    let statement = statements.get(sql);
    if (!statement) statements.set(sql, (statement = database.prepare(sql)));
    return statement.run(...params).changes;
  };
  const resend = (batch: QueuedBatch, creates: readonly Mutation[], enqueue: Enqueue): QueuedBatch[] => {
    const batchId = batchIdOf(`${batch.batchId} again`);
    const queued = creates.length === 0 ? [] : [enqueue({ mutations: creates, atomic: false })];
    const { mutations, atomic } = batch;
    queued.push(enqueue({ batchId, mutations, ...(atomic === undefined ? {} : { atomic }) }));
    run('DELETE FROM sluice_inbox WHERE batch_id = ?', batch.batchId);
    return queued;
  };
  return {
    settle(batch, settlement, enqueue) {
      for (const { op, collection, id } of batch.mutations)
        if (op === 'put')
          run('DELETE FROM sluice_agent_recreated WHERE collection = ? AND id = ?', collection, id);
      const isSecond = run('DELETE FROM sluice_agent_again WHERE batch_id = ?', batch.batchId) > 0;
      const lost = isSecond ? [] : lostRecords(batch, settlement);
      const creates = lost.map((one) => createOf(options, one));
      if (lost.length === 0 || creates.includes(undefined)) return [];
      const fresh = creates.filter((one) => one !== undefined).filter((one) => isFirst(options, one));
      const queued = resend(batch, fresh, enqueue);
      const insert = 'INSERT INTO sluice_agent_again (batch_id, first_id) VALUES (?, ?)';
      run(insert, queued.at(-1)?.batchId ?? '', batch.batchId);
      return queued;
    },
    findSuccessor(batchId) {
      const select = 'SELECT batch_id AS id FROM sluice_agent_again WHERE first_id = ?';
      return (database.prepare(select).get(batchId) as { id: string } | undefined)?.id;
    },
    hasRetries: () => database.prepare('SELECT 1 FROM sluice_agent_retry LIMIT 1').get() !== undefined,
    takeRetries(enqueue) {
      const select = `SELECT i.body FROM sluice_inbox i JOIN sluice_agent_retry USING (batch_id) ORDER BY i.n`;
      const rows = database.prepare(select).all() as { body: string }[];
      const entries = rows.map(({ body }) => JSON.parse(body) as InboxEntry);
      const queued = entries.flatMap(({ batch, ...entry }) => {
        const lost = lostRecords(batch, { batchId: batch.batchId, ...entry });
        const creates = lost.map((one) => createOf(options, one)).filter((one) => one !== undefined);
        return resend(
          batch,
          creates.filter((one) => isFirst(options, one)),
          enqueue,
        );
      });
      run('DELETE FROM sluice_agent_retry');
      return queued;
    },
  };
}

/** The records that are to be created, when nothing else is in the batch's way. */
function lostRecords({ atomic, mutations }: QueuedBatch, { verdict }: Settlement): Mutation[] {
  if (atomic === false || !verdict) return [];
  const codes = verdict.results.map(({ code }) => code);
  if (codes.some((code) => code !== undefined && code !== 'not_found' && code !== 'batch_refused')) return [];
  return mutations.filter((_, at) => codes[at] === 'not_found');
}

/** Whether its creation is not under way yet; notes that it is. */
function isFirst({ database, ledger }: ResendOptions, { collection, id }: Mutation): boolean {
  const insert = 'INSERT INTO sluice_agent_recreated (collection, id) VALUES (?, ?) ON CONFLICT DO NOTHING';
  ledger.remember(collection, id);
  return database.prepare(insert).run(collection, id).changes > 0;
}

/** Undefined: no movement names that record. */
function createOf(options: ResendOptions, { op, collection, id }: Mutation): Mutation | undefined {
  const { mapping, ledger, partition } = options;
  if (op !== 'patch') return undefined;
  for (const movements of mapping.acts.flatMap((act) => act.movements)) {
    if (movements.collection !== collection) continue;
    const row = findMovement(options, movements, id);
    if (row) return { collection, id, op: 'put', partition, data: creationOf(ledger, movements, row) };
  }
  return undefined;
}

/** A row of the ERP whose movement went to that record: from its columns the record is created as it was at first. */
function findMovement(
  { database, mapping, partition }: ResendOptions,
  { table, id: template }: MovementsMapping,
  id: string,
): Row | undefined {
  const names = templateColumns(template);
  const parts = template.split(/\$\{[^}]*\}/).map((text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const holes = [...template.matchAll(/\$\{([^}]*)\}/g)].map(([, name]) =>
    name === 'partition' ? partition.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&') : '(.+)',
  );
  const pattern = parts.map((part, at) => part + (holes[at] ?? '')).join('');
  const values = new RegExp(`^${pattern}$`, 'su').exec(id)?.slice(1);
  if (!values) return undefined;
  const columns = sourcesOf(mapping).find((source) => source.table === table)?.columns ?? [];
  const where = names.map((name) => `CAST(${quoteName(name)} AS TEXT) = ?`).join(' AND ') || 'true';
  const select = `SELECT ${columns.map(quoteName).join(', ')} FROM ${quoteName(table)} WHERE ${where} LIMIT 1`;
  const row = database.prepare(select).get(...values) as Row | undefined;
  return row && toId(template, partition, row) === id ? row : undefined;
}
