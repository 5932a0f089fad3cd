import { useState } from 'react';
import { Badge, Button } from '@mantine/core';
import { formatDate, formatMoney, formatNumber } from '../format.ts';
import { useRowHeight } from '../hooks/use-row-height.ts';
import { useWindow } from '../hooks/use-window.ts';
import type { InvoiceRow } from '../model/records.ts';
import { VirtualRows, type Column } from './virtual-rows.tsx';

const COLUMNS: readonly Column[] = [
  { key: 'number', title: 'Invoice' },
  { key: 'branch', title: 'Branch' },
  { key: 'kind', title: 'Kind' },
  { key: 'date', title: 'Dated' },
  { key: 'customer', title: 'Customer' },
  { key: 'total', title: 'Total', align: 'end' },
];
interface InvoiceTableProps {
  /** Oldest first; shown the other way round. */
  rows: readonly InvoiceRow[];
  onOpen: (id: string) => void;
  empty: string;
}

/** Newest first. Scrolled down it stands still and counts what arrives above. */
export function InvoiceTable({ rows, onOpen, empty }: InvoiceTableProps) {
  const [held, setHeld] = useState<number>();
  const count = Math.min(held ?? rows.length, rows.length);
  const rowHeight = useRowHeight();
  const view = useWindow(count, rowHeight);
  if (view.atTop && held !== undefined) setHeld(undefined);
  if (!view.atTop && held === undefined) setHeld(rows.length);
  const waiting = rows.length - count;
  return (
    <div className="rows-frame">
      {waiting > 0 ? (
        <Button className="rows-more" size="compact-sm" onClick={view.toTop}>
          {formatNumber(waiting)} new: show
        </Button>
      ) : null}
      <VirtualRows
        label="Invoices, newest first"
        className="invoices"
        columns={COLUMNS}
        template="var(--columns)"
        count={count}
        rowHeight={rowHeight}
        view={view}
        renderRow={(index) => renderInvoice(rows[count - 1 - index], onOpen)}
        empty={empty}
      />
    </div>
  );
}

function renderInvoice(row: InvoiceRow | undefined, onOpen: (id: string) => void) {
  if (!row) return { key: '', cells: [] };
  return {
    key: row.id,
    cells: [
      <button key="open" type="button" className="link" onClick={() => onOpen(row.id)}>
        <span className="sr-only">Show lines of invoice </span>
        {row.number}
        <span className="narrow-only sub"> {row.branch}</span>
      </button>,
      row.branch,
      <KindBadge key="kind" credit={row.credit} />,
      formatDate(row.date),
      row.customer,
      <span key="total" className={row.total.startsWith('-') ? 'negative' : ''}>
        {formatMoney(row.total)}
      </span>,
    ],
  };
}

export function KindBadge({ credit }: { credit: boolean }) {
  return (
    <Badge variant="light" color={credit ? 'orange' : 'teal'} radius="sm" className="kind">
      {credit ? 'Credit' : 'Sale'}
    </Badge>
  );
}
