import { reaches } from './stats.ts';
import type { Metric, Target } from './stats.ts';

export type Report = Record<string, Metric>;

/** The figures to reach; every other metric is there to explain these. */
export const TARGETS: Readonly<Record<string, Target>> = {
  push_single: { of: 'ratio', bound: 0.6, better: 'higher' },
  push_batch: { of: 'ratio', bound: 0.6, better: 'higher' },
  delta_p50: { of: 'ratio', bound: 2, better: 'lower' },
  fanout_100: { of: 'ratio', bound: 0.7, better: 'higher' },
  fanout_1000: { of: 'ratio', bound: 0.7, better: 'higher' },
  idle_connection_kb: { of: 'value', bound: 30, better: 'lower' },
  token_endpoint: { of: 'ratio', bound: 0.6, better: 'higher' },
  local_validation_p50_ms: { of: 'value', bound: 0.2, better: 'lower' },
  login_sync_p99: { of: 'ratio', bound: 2, better: 'lower' },
  revoke_disconnect_p99_ms: { of: 'value', bound: 1_000, better: 'lower' },
  snapshot_100k_s: { of: 'value', bound: 10, better: 'lower' },
};

const HEAD = ['metric', 'Sluice', 'reference', 'ratio', 'unit', 'target', ''];

/** Lays the report out as a table for a terminal. */
export function formatTable(report: Report): string {
  const rows = Object.entries(report).map(([name, metric]) => toRow(name, metric));
  const widths = HEAD.map((title, column) =>
    Math.max(...[HEAD, ...rows].map((row) => (row[column] ?? title).length)),
  );
  const line = (row: string[]): string =>
    row
      .map((cell, column) =>
        isText(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [
    line(HEAD),
    widths
      .map((width) => '-'.repeat(width))
      .join('  ')
      .trimEnd(),
    ...rows.map(line),
  ].join('\n');
}

function toRow(name: string, metric: Metric): string[] {
  const target = TARGETS[name];
  const reached = target && reaches(metric, target);
  return [
    name,
    formatNumber(metric.value),
    formatNumber(metric.reference),
    metric.ratio === null ? '-' : metric.ratio.toFixed(2),
    metric.unit,
    target ? `${target.of} ${target.better === 'higher' ? '>=' : '<='} ${target.bound}` : '',
    reached === undefined ? '' : reached ? 'reached' : 'MISSED',
  ];
}

function isText(column: number): boolean {
  return column === 0 || column >= 4;
}

function formatNumber(value: number | null): string {
  if (value === null) return '-';
  return value >= 1_000 ? Math.round(value).toLocaleString('en-US') : String(value);
}
