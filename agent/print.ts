import type { CheckReport } from './check.ts';
import type { InboxEntry } from '../sdk/store.ts';
import { offenderOf } from './offender.ts';
import { REFUSED_HINT } from './errors.ts';
import type { AgentReport, InboxReport } from './look.ts';

/** What the commands show to people; with --json they print the objects themselves. */

export function printReport(report: AgentReport): string {
  const { agent, inbox } = report;
  const rows: [string, string][] = [
    ['branch', report.partition],
    ['database', `${report.database}${report.installed ? '' : ' (not installed)'}`],
    ['gateway', report.gateway],
    ['agent', agentOf(report)],
    ['to push', `${report.captured} rows captured, ${report.queue} batches queued${backfillOf(report)}`],
    ...(report.held === null ? [] : [['held', report.held] satisfies [string, string]]),
    ...(report.headless === 0
      ? []
      : [['not sent', headlessText(report.headless)] satisfies [string, string]]),
    ['inbox', `${inbox.gateway} refused by the gateway, ${inbox.local} refused here${inboxHint(report)}`],
    ...(agent
      ? [['last push', agent.lastPushAt ?? 'none since it was started'] satisfies [string, string]]
      : []),
    ['position', positionOf(report)],
    ...(agent?.lastError ? [['last error', agent.lastError] satisfies [string, string]] : []),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}

function agentOf({ running, agent }: AgentReport): string {
  if (!running)
    return agent ? `not running, last seen ${agent.updatedAt}` : 'not running, has not been run yet';
  if (!agent) return 'running';
  const meaning = MEANINGS[agent.state];
  return `running, pid ${agent.pid}, ${agent.state}${meaning === undefined ? '' : `: ${meaning}`}`;
}

const MEANINGS: Record<string, string | undefined> = {
  live: 'connected',
  snapshot: 'connected, reading what the centre has',
  offline: 'no connection to the gateway; what is sold is kept here, and it tries again by itself',
  refused: `${REFUSED_HINT} What is sold is kept here, and it tries again by itself`,
  waiting_for_database: 'the database file is not there',
  database_replaced: 'the database file is another one and is opened anew',
};

function backfillOf({ backfill }: AgentReport): string {
  return backfill ? ` (older rows: ${backfill.done} of ${backfill.total})` : '';
}

/** What becomes of movements whose head is not there. */
export function headlessText(rows: number): string {
  return `${rows} movements name a head that is not in the database: those from before the agent are not sent`;
}

function inboxHint({ inbox }: AgentReport): string {
  return inbox.gateway + inbox.local > 0 ? ': see agent inbox' : '';
}

/** The head is known only while it runs. */
function positionOf({ running, agent, version }: AgentReport): string {
  if (version === null) return 'nothing applied yet';
  const head = running ? agent?.head : undefined;
  if (head === null || head === undefined) return `${version}`;
  return `${version} of ${head}${version === head ? ', nothing left to apply' : ''}`;
}

export function printInbox({ gateway, local }: InboxReport): string {
  if (gateway.length + local.length === 0) return 'The inbox is empty.\n';
  const here = local.map(
    ({ n, at, act, key, reason, rows, detail }) =>
      `${at}  ${n}  ${reason}  ${act} ${key} (${rows} rows): ${detail}\n`,
  );
  const hints = [
    '--retry sends one again as it is in the database now (its batchId or number, or all)',
    '--dismiss takes one out (its batchId or number)',
  ];
  return [...gateway.map(printEntry), ...here, `\n${hints.join('; ')}.\n`].join('');
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
