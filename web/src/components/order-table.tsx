import { Badge } from '@mantine/core';
import { useRowHeight } from '../hooks/use-row-height.ts';
import { useWindow } from '../hooks/use-window.ts';
import type { OrderRow } from '../model/records.ts';
import { VirtualRows, type Column } from './virtual-rows.tsx';

const COLUMNS: readonly Column[] = [
  { key: 'number', title: 'Order' },
  { key: 'branch', title: 'Branch' },
  { key: 'status', title: 'Status' },
  { key: 'customer', title: 'Customer' },
];

export const ORDER_STATUSES = ['draft', 'placed', 'confirmed', 'shipped', 'delivered', 'cancelled'] as const;
const COLORS: Record<string, string> = {
  draft: 'gray',
  placed: 'blue',
  confirmed: 'indigo',
  shipped: 'violet',
  delivered: 'teal',
  cancelled: 'red',
};

interface OrderTableProps {
  /** Oldest change first; shown the other way round. */
  rows: readonly OrderRow[];
  empty: string;
}

/** The order that changed last comes first. */
export function OrderTable({ rows, empty }: OrderTableProps) {
  const rowHeight = useRowHeight();
  const view = useWindow(rows.length, rowHeight);
  return (
    <div className="rows-frame">
      <VirtualRows
        label="Orders, last changed first"
        className="orders"
        columns={COLUMNS}
        template="var(--columns)"
        count={rows.length}
        rowHeight={rowHeight}
        view={view}
        renderRow={(index) => renderOrder(rows[rows.length - 1 - index])}
        empty={empty}
      />
    </div>
  );
}

function renderOrder(row: OrderRow | undefined) {
  if (!row) return { key: '', cells: [] };
  return {
    key: row.id,
    cells: [
      <span key="number" className="two-lines">
        <span className="strong">{row.number}</span>
        <span className="narrow-only sub">{row.branch}</span>
      </span>,
      row.branch,
      <Badge key="status" variant="light" color={COLORS[row.status] ?? 'gray'} radius="sm" className="kind">
        {row.status}
      </Badge>,
      row.customer,
    ],
  };
}
