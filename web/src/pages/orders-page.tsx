import { useMemo, useState } from 'react';
import { NativeSelect } from '@mantine/core';
import { ORDER_STATUSES, OrderTable } from '../components/order-table.tsx';
import { PageHead } from '../components/page-head.tsx';
import { formatNumber } from '../format.ts';
import { useEngine, useSignal } from '../hooks/use-engine.tsx';
import { RecordsFrame } from './records-frame.tsx';

export function OrdersPage() {
  const { records } = useEngine();
  const version = useSignal(records.signals.porosia);
  const [status, setStatus] = useState('');
  const all = records.orders.rows();
  // `all` changes in place: the version stands for its content.
  const counts = useMemo(() => countByStatus(all), [all, version]);
  const rows = useMemo(
    () => (status === '' ? all : all.filter((row) => row.status === status)),
    [all, status, version],
  );
  const option = (value: string) => ({ value, label: `${value} (${formatNumber(counts.get(value) ?? 0)})` });
  return (
    <section className="page fill" aria-label="Orders">
      <PageHead title="Orders" native="Porosia">
        {all.length === 0 ? null : <span className="sub count">{formatNumber(all.length)} in all</span>}
      </PageHead>
      <RecordsFrame>
        <div className="filters" role="search" aria-label="Filter orders">
          <NativeSelect
            aria-label="Status"
            size="sm"
            data={[{ value: '', label: 'Every status' }, ...ORDER_STATUSES.map(option)]}
            value={status}
            onChange={(event) => setStatus(event.currentTarget.value)}
          />
        </div>
        <OrderTable
          rows={rows}
          empty={
            all.length === 0
              ? 'No orders yet. They appear here as the branches send them.'
              : 'No order has this status.'
          }
        />
      </RecordsFrame>
    </section>
  );
}

function countByStatus(rows: readonly { status: string }[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { status } of rows) counts.set(status, (counts.get(status) ?? 0) + 1);
  return counts;
}
