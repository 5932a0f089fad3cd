import { useDeferredValue, useMemo, useState } from 'react';
import { NativeSelect, TextInput } from '@mantine/core';
import { InvoiceDialog } from '../components/invoice-dialog.tsx';
import { InvoiceTable } from '../components/invoice-table.tsx';
import { MinuteChart } from '../components/minute-chart.tsx';
import { PageHead } from '../components/page-head.tsx';
import { formatAgo, formatNumber, formatTime } from '../format.ts';
import { useEngine, useLinkState, useSignal } from '../hooks/use-engine.tsx';
import { useNow } from '../hooks/use-now.ts';
import type { PaceSeries } from '../model/minutes.ts';
import type { InvoiceRow } from '../model/records.ts';
import { RecordsFrame } from './records-frame.tsx';

interface Filter {
  search: string;
  branch: string;
  kind: string;
}

const NO_FILTER: Filter = { search: '', branch: '', kind: '' };

export function InvoicesPage() {
  const { records, sync } = useEngine();
  const version = useSignal(records.signals.fatura);
  const [filter, setFilter] = useState(NO_FILTER);
  const [open, setOpen] = useState<string>();
  const wanted = useDeferredValue(filter);
  const all = records.invoices.rows();
  // `all` grows in place: the version stands for its content.
  const rows = useMemo(() => select(all, wanted), [all, wanted, version]);
  const branches = useBranches(all, version);
  return (
    <section className="page fill" aria-label="Invoices">
      <PageHead title="Invoices" native="Fatura">
        {all.length === 0 ? null : <span className="sub count">{formatNumber(all.length)} in all</span>}
      </PageHead>
      <RecordsFrame>
        <PaceCard version={version} />
        <Filters filter={filter} branches={branches} onChange={setFilter} />
        <InvoiceTable
          key={JSON.stringify(wanted)}
          rows={rows}
          onOpen={setOpen}
          empty={
            all.length === 0
              ? 'No invoices yet. They appear here as the branches send them.'
              : 'No invoice matches. Change the filter above.'
          }
        />
        {open === undefined ? null : (
          <InvoiceDialog
            id={open}
            replica={sync.replica}
            nameOf={records.stock.nameOf}
            onClose={() => setOpen(undefined)}
          />
        )}
      </RecordsFrame>
    </section>
  );
}

/** The chart, with its figures in words. */
function PaceCard({ version }: { version: number }) {
  const { records, sync } = useEngine();
  const state = useLinkState(sync);
  const now = useNow(5_000);
  const pace = useMemo(() => records.minutes.series(), [records, now, version]);
  const { at } = records.frames();
  const hour = pace.counts.reduce((sum, count) => sum + count, 0);
  return (
    <section className="card pace" aria-label="Pace">
      <dl className="figures">
        <Figure
          term="This minute"
          value={state.name === 'live' ? formatNumber(pace.counts.at(-1) ?? 0) : '–'}
        />
        <Figure term={spanOf(pace)} value={formatNumber(hour)} />
        <Figure term="Last update" value={at === null ? 'none yet' : formatAgo(now - at)} />
      </dl>
      <div className="pace-chart">
        <h2 className="card-title">Invoices per minute</h2>
        <MinuteChart pace={pace} span={spanOf(pace)} />
        <p className="sub">{basisOf(pace)}</p>
      </div>
    </section>
  );
}

/** What the sum covers: never an hour of which this browser heard a part. */
function spanOf({ since, whole, dated }: PaceSeries): string {
  return since === undefined || whole || dated > 0 ? 'Last 60 minutes' : `Since ${formatTime(since)}`;
}

function basisOf({ since, whole, dated }: PaceSeries): string {
  if (whole) return 'Counted as they reached the gateway.';
  if (since === undefined) return 'Counted once this browser is connected.';
  const from = formatTime(since);
  if (dated > 0) return `Counted as they reached the gateway; until ${from} by the time on the invoice.`;
  return `Counted since this browser first connected, at ${from}. When earlier ones came is not known here.`;
}

function Figure({ term, value }: { term: string; value: string }) {
  return (
    <div>
      <dt>{term}</dt>
      <dd>{value}</dd>
    </div>
  );
}

interface FiltersProps {
  filter: Filter;
  branches: readonly string[];
  onChange: (filter: Filter) => void;
}

function Filters({ filter, branches, onChange }: FiltersProps) {
  return (
    <div className="filters" role="search" aria-label="Filter invoices">
      <TextInput
        aria-label="Search by number or customer"
        placeholder="Number or customer"
        size="sm"
        value={filter.search}
        onChange={(event) => onChange({ ...filter, search: event.currentTarget.value })}
      />
      <NativeSelect
        aria-label="Branch"
        size="sm"
        data={[
          { value: '', label: 'All branches' },
          ...branches.map((branch) => ({ value: branch, label: branch })),
        ]}
        value={filter.branch}
        onChange={(event) => onChange({ ...filter, branch: event.currentTarget.value })}
      />
      <NativeSelect
        aria-label="Kind"
        size="sm"
        data={[
          { value: '', label: 'Sales and credits' },
          { value: 'sale', label: 'Sales' },
          { value: 'credit', label: 'Credits' },
        ]}
        value={filter.kind}
        onChange={(event) => onChange({ ...filter, kind: event.currentTarget.value })}
      />
    </div>
  );
}

function select(rows: readonly InvoiceRow[], { search, branch, kind }: Filter): readonly InvoiceRow[] {
  const text = search.trim().toLowerCase();
  if (text === '' && branch === '' && kind === '') return rows;
  return rows.filter(
    (row) =>
      (branch === '' || row.branch === branch) &&
      (kind === '' || row.credit === (kind === 'credit')) &&
      (text === '' || row.number.toLowerCase().includes(text) || row.customer.toLowerCase().includes(text)),
  );
}

function useBranches(rows: readonly InvoiceRow[], version: number): string[] {
  return useMemo(() => [...new Set(rows.map((row) => row.branch))].sort(), [rows, version]);
}
