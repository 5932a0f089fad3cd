import type { CheckReport } from './check.ts';
import type { InboxEntry } from '../sdk/store.ts';
import type { AgentReport, InboxReport } from './look.ts';
import type { AgentStatus } from './status.ts';

/** What the commands show to people; with --json they print the objects themselves. */

export function printReport(report: AgentReport): string {
  const { agent, inbox } = report;
  const rows: [string, string][] = [
    ['branch', report.partition],
    ['database', `${report.database}${report.installed ? '' : ' (not installed)'}`],
    ['gateway', report.gateway],
    ['agent', report.running ? `running${agent ? `, pid ${agent.pid}, ${agent.state}` : ''}` : 'not running'],
    ['to push', `${report.captured} rows captured, ${report.queue} batches queued${backfillOf(report)}`],
    ['inbox', `${inbox.gateway} refused by the gateway, ${inbox.local} refused here`],
    ...(agent ? lastWords(agent) : []),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}

function backfillOf({ agent }: AgentReport): string {
  return agent?.backfill ? ` (older rows: ${agent.backfill.done} of ${agent.backfill.total})` : '';
}

function lastWords({ lastPushAt, version, head, lastError }: AgentStatus): [string, string][] {
  return [
    ['last push', lastPushAt ?? 'none since it was started'],
    ['position', `${version ?? 'unknown'} of ${head ?? 'unknown'}`],
    ...(lastError === null ? [] : [['last error', lastError] satisfies [string, string]]),
  ];
}

export function printInbox({ gateway, local }: InboxReport): string {
  if (gateway.length + local.length === 0) return 'The inbox is empty.\n';
  const here = local.map(
    ({ n, at, act, key, reason, rows, detail }) =>
      `${at}  ${n}  ${reason}  ${act} ${key} (${rows} rows): ${detail}\n`,
  );
  return [...gateway.map(printEntry), ...here].join('');
}

function printEntry({ batch, outcome, verdict, error, at }: InboxEntry): string {
  const results = verdict?.results ?? [];
  const place = results.findIndex((one) => one.code !== undefined && one.code !== 'batch_refused');
  const fault = results[place] ?? error;
  const mutation = batch.mutations[Math.max(0, place)];
  const why = [fault?.code, fault?.path, fault?.message].filter((part) => part !== undefined).join(' ');
  const record = mutation ? `${mutation.collection}/${mutation.id}` : '';
  return `${at}  ${batch.batchId}  ${outcome}  ${record}: ${why}\n`;
}

export function printCheck({ results }: CheckReport): string {
  return results
    .map(({ name, ok, details }) => `${ok ? 'ok   ' : 'FAULT'} ${name}: ${details.join('; ') || 'fits'}\n`)
    .join('');
}
