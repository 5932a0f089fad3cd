import type { CheckReport } from './check.ts';
import type { InboxEntry } from '../sdk/store.ts';
import { offenderOf } from './offender.ts';
import type { AgentReport, InboxReport } from './look.ts';

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
    ...(agent
      ? [['last push', agent.lastPushAt ?? 'none since it was started'] satisfies [string, string]]
      : []),
    ['position', positionOf(report)],
    ...(agent?.lastError ? [['last error', agent.lastError] satisfies [string, string]] : []),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}

function backfillOf({ agent }: AgentReport): string {
  return agent?.backfill ? ` (older rows: ${agent.backfill.done} of ${agent.backfill.total})` : '';
}

/** The head is known only while it runs. */
function positionOf({ running, agent, version }: AgentReport): string {
  if (version === null) return 'nothing applied yet';
  const head = running ? agent?.head : undefined;
  return head === null || head === undefined ? `${version}` : `${version} of ${head}`;
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
  const fault = verdict?.results.find(({ code }) => code !== undefined && code !== 'batch_refused') ?? error;
  const { collection, id } = offenderOf(batch, verdict);
  const why = [fault?.code, fault?.path, fault?.message].filter((part) => part !== undefined).join(' ');
  const [first] = batch.mutations;
  const isOther = first?.collection !== collection || first?.id !== id;
  const offender = isOther ? ` (because of ${collection} ${id})` : '';
  return `${at}  ${batch.batchId}  ${outcome}  ${first?.collection} ${first?.id}${offender}: ${why}\n`;
}

export function printCheck({ results }: CheckReport): string {
  return results
    .map(({ name, ok, details }) => `${ok ? 'ok   ' : 'FAULT'} ${name}: ${details.join('; ') || 'fits'}\n`)
    .join('');
}
