import { useDeferredValue, useMemo, useState } from 'react';
import { NativeSelect, SegmentedControl, TextInput } from '@mantine/core';
import { PageHead } from '../components/page-head.tsx';
import { StockTable } from '../components/stock-table.tsx';
import { formatNumber } from '../format.ts';
import { useEngine, useSignal } from '../hooks/use-engine.tsx';
import type { StockRow } from '../model/stock.ts';
import { RecordsFrame } from './records-frame.tsx';

type Show = 'all' | 'low' | 'negative';

const LOW_LEVELS = [0, 5, 10, 20, 50, 100];
const DEFAULT_LOW = 5;

export function StockPage() {
  const { records } = useEngine();
  const version = useSignal(records.signals.stoku);
  const [search, setSearch] = useState('');
  const [show, setShow] = useState<Show>('all');
  const [low, setLow] = useState(DEFAULT_LOW);
  const wanted = useDeferredValue(search);
  const all = useMemo(() => records.stock.rows(), [records, version]);
  const branches = useMemo(() => records.stock.branches(), [records, version]);
  const rows = useMemo(() => select(all, wanted, limitOf(show, low)), [all, wanted, show, low]);
  return (
    <section className="page fill" aria-label="Stock">
      <PageHead title="Stock" native="Stoku">
        <span className="sub count">{summaryOf(all.length, branches.length)}</span>
      </PageHead>
      <RecordsFrame>
        <div className="filters" role="search" aria-label="Filter stock">
          <TextInput
            aria-label="Search by code or name"
            placeholder="Code or name"
            size="sm"
            value={search}
            onChange={(event) => setSearch(event.currentTarget.value)}
          />
          <SegmentedControl
            aria-label="Show"
            size="sm"
            data={[
              { value: 'all', label: 'All' },
              { value: 'low', label: 'Low' },
              { value: 'negative', label: 'Below 0' },
            ]}
            value={show}
            onChange={(value) => setShow(value)}
          />
          <NativeSelect
            aria-label="What counts as low"
            size="sm"
            data={LOW_LEVELS.map((level) => ({ value: String(level), label: `Low: up to ${level}` }))}
            value={low}
            onChange={(event) => setLow(Number(event.currentTarget.value))}
          />
        </div>
        <StockTable
          rows={rows}
          branches={branches}
          low={low}
          empty={
            all.length === 0
              ? 'No stock yet. It appears here as the branches send it.'
              : 'No product matches. Change the filter above.'
          }
        />
      </RecordsFrame>
    </section>
  );
}

function summaryOf(products: number, branches: number): string {
  if (products === 0) return '';
  const where = branches === 1 ? 'one branch' : `${formatNumber(branches)} branches`;
  return `${formatNumber(products)} products, ${where}`;
}

function limitOf(show: Show, low: number): number {
  return { all: Infinity, low, negative: -Number.MIN_VALUE }[show];
}

function select(rows: readonly StockRow[], search: string, limit: number): readonly StockRow[] {
  const text = search.trim().toLowerCase();
  if (text === '' && limit === Infinity) return rows;
  return rows.filter(
    (row) =>
      row.lowest <= limit &&
      (text === '' || row.sku.toLowerCase().includes(text) || row.name.toLowerCase().includes(text)),
  );
}
