import type { Command } from 'commander';
import type { LinkState, SyncClient } from '../../sdk/index.ts';
import { onNewState, openSync, requireLogin, whenLive } from '../connected.ts';
import type { Context } from '../context.ts';
import { fromCode } from '../failure.ts';
import type { CliError } from '../failure.ts';
import { collect, parseCount } from '../options.ts';
import type { AddCommands } from '../program.ts';
import type { Paper } from '../render.ts';
import { changeLine, snapshotText, stateLine } from '../render.ts';
import { createTrail } from '../trail.ts';

export interface WatchOptions {
  sinceStart?: boolean;
  partition?: string[];
  limit?: number;
}

export const DEFAULT_COLLECTIONS = ['fatura', 'stoku', 'porosia'] as const;

export const addWatchCommand: AddCommands = (parent: Command, bind) => {
  parent
    .command('watch')
    .argument('[collection...]', `collections; left out: ${DEFAULT_COLLECTIONS.join(' ')}`)
    .description('show changes as they happen, until Ctrl-C')
    .option('--partition <name>', 'only this partition; may be repeated', collect)
    .option('--since-start', 'leave out the progress of reading what is there already')
    .option('--limit <n>', 'end after so many changes', parseCount)
    .action(bind(watch));
};

/**
 * Prints every change, one a line, until it is interrupted or `limit` is reached. Connects again by itself; ends only
 * when the gateway cannot be reached at the start (69) or will not have us (77).
 */
export async function watch(
  context: Context,
  collections: readonly string[],
  options: WatchOptions,
): Promise<void> {
  await requireLogin(context);
  const names = collections.length === 0 ? DEFAULT_COLLECTIONS : collections;
  const { partition: partitions } = options;
  const client = openSync(
    context,
    names.map((collection) => ({ collection, ...(partitions && { partitions }) })),
  );
  const ended = listen(context, client, options);
  try {
    const live = whenLive(client, context.signal);
    // Both may end it; the one that does not must not be left unhandled.
    live.catch(() => undefined);
    await client.start();
    await Promise.race([live, ended]);
    await ended;
  } catch (error) {
    // Ctrl-C before the first connection is an end like any other.
    if (!context.signal.aborted) throw error;
  } finally {
    await client.close();
  }
}

/** Resolves at the end of the watching; rejects when the gateway refuses. */
function listen(context: Context, client: SyncClient, options: WatchOptions): Promise<void> {
  const { limit = Infinity, sinceStart = false } = options;
  const trail = createTrail();
  const paper: Paper = {
    theme: context.theme,
    columns: context.output.isTTY ? (context.output.columns ?? 80) : undefined,
  };
  const progress = createProgress(context, sinceStart);
  let shown = 0;
  const ended = new Promise<void>((resolve, reject) => {
    const end = (error?: CliError): void => (error ? reject(error) : resolve());
    context.signal.addEventListener('abort', () => end());
    if (context.signal.aborted) end();
    client.on('reset', () => trail.clear());
    client.on('snapshot', ({ records, received, more }) => {
      trail.see(records);
      progress(received, more);
    });
    client.on('changes', ({ changes }) => {
      for (const change of changes) {
        if (shown >= limit) break;
        shown += 1;
        const before = trail.step(change);
        if (context.json) context.emit({ type: 'change', ...change });
        else context.print(changeLine(paper, change, before));
      }
      if (shown >= limit) end();
    });
    onNewState(client, (state) => {
      tellState(context, state);
      if (state.name === 'refused') end(fromCode(state.code, state.message ?? state.code));
    });
  });
  ended.catch(() => undefined);
  return ended;
}

function tellState(context: Context, state: LinkState): void {
  if (context.json) {
    if (state.name === 'live' || state.name === 'offline') context.emit({ type: 'state', ...state });
    return;
  }
  // a refusal ends the watching, and is told as the error that it is
  const line = state.name === 'refused' ? undefined : stateLine(context.theme, state);
  if (line !== undefined) context.remark(line);
}

/** Progress of the snapshot: one line that is overwritten on a terminal, one line at its end elsewhere. */
function createProgress(context: Context, silent: boolean): (received: number, more: boolean) => void {
  const { errors, json, theme } = context;
  let told: number | undefined;
  return (received, more) => {
    if (silent) return;
    if (json) {
      context.emit({ type: 'snapshot', received, more });
      return;
    }
    // a page that brings nothing more, or one that begins anew, says nothing new
    if (!more && received === told) return;
    told = more ? undefined : received;
    const text = theme.dim(snapshotText(received));
    if (errors.isTTY) errors.write(`\r\u001b[K${text}${more ? '' : '\n'}`);
    else if (!more) context.remark(text);
  };
}
