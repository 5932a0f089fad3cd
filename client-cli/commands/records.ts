import type { Command } from 'commander';
import type { SnapshotRecord, StoredRecord, SyncClient } from '../../sdk/index.ts';
import { openSync, requireLogin, whenLive } from '../connected.ts';
import type { Context } from '../context.ts';
import { CliError, EXIT } from '../failure.ts';
import { collect, parseCount } from '../options.ts';
import type { AddCommands } from '../program.ts';
import { recordLines, recordTable } from '../render.ts';

export interface RecordsOptions {
  partition?: string[];
  limit?: number;
}

const DEFAULT_LIMIT = 50;

export const addRecordCommands: AddCommands = (parent: Command, bind) => {
  parent
    .command('records')
    .argument('<collection>')
    .description('list the records of a collection')
    .option('--partition <name>', 'only this partition; may be repeated', collect)
    .option('--limit <n>', `records at most; left out: ${DEFAULT_LIMIT}`, parseCount)
    .action(bind(records));
  parent
    .command('get')
    .argument('<collection>')
    .argument('<id>')
    .description('show one record')
    .action(bind(get));
};

/** The first records of the collection's snapshot. */
export async function records(context: Context, collection: string, options: RecordsOptions): Promise<void> {
  const { limit = DEFAULT_LIMIT, partition: partitions } = options;
  const found: StoredRecord[] = [];
  // One more than is shown tells whether there are more.
  await readSnapshot(context, { collection, ...(partitions && { partitions }) }, (page) => {
    found.push(...page.slice(0, limit + 1 - found.length));
    return found.length > limit;
  });
  const shown = found.slice(0, limit);
  const more = found.length > limit;
  if (context.json) {
    context.emit({ collection, records: shown, more });
    return;
  }
  if (shown.length === 0) context.remark(`There are no records of ${collection} that you may see.`);
  else {
    const columns = context.output.isTTY ? context.output.columns : undefined;
    for (const line of recordTable({ theme: context.theme, columns }, shown)) context.print(line);
  }
  if (more) context.remark(`There are more: --limit ${limit * 10}`);
}

/** One record, looked for in the snapshot of its collection. */
export async function get(context: Context, collection: string, id: string): Promise<void> {
  let found: StoredRecord | undefined;
  await readSnapshot(context, { collection }, (page) => {
    found = page.find((record) => record.id === id);
    return found !== undefined;
  });
  if (!found) {
    const message = `There is no record ${id} in ${collection} that you may see.`;
    throw new CliError(EXIT.failed, 'not_found', message);
  }
  if (context.json) context.emit(found);
  else
    for (const line of recordLines({ theme: context.theme, columns: undefined }, found)) context.print(line);
}

/** Reads the snapshot page by page, to its end or until `take` has enough. */
async function readSnapshot(
  context: Context,
  subscription: { collection: string; partitions?: string[] },
  take: (page: readonly SnapshotRecord[]) => boolean,
): Promise<void> {
  await requireLogin(context);
  const client = openSync(context, [subscription]);
  try {
    const live = whenLive(client, context.signal);
    const enough = untilTaken(client, take);
    await client.start();
    await Promise.race([live, enough]);
  } finally {
    await client.close();
  }
}

function untilTaken(client: SyncClient, take: (page: readonly SnapshotRecord[]) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let done = false;
    client.on('snapshot', ({ records: page }) => {
      if (done) return;
      done = take(page);
      if (done) resolve();
    });
    // A list that begins twice would show records twice: rare enough to ask for another try.
    client.on('reset', () => reject(new CliError(EXIT.failed, 'reset', 'The records changed: try again.')));
  });
}
