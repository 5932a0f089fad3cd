import type { ReactNode } from 'react';
import type { RowWindow } from '../hooks/use-window.ts';

export interface Column {
  key: string;
  title: ReactNode;
  /** `end`: numbers. */
  align?: 'end';
}

interface VirtualRowsProps {
  label: string;
  columns: readonly Column[];
  /** CSS grid-template-columns. */
  template: string;
  className: string;
  count: number;
  rowHeight: number;
  view: RowWindow;
  /** Cells of a row, one per column. */
  renderRow: (index: number) => { key: string; cells: readonly ReactNode[]; tone?: string };
  empty: ReactNode;
}

/** A table of any length that draws only the rows in view. */
export function VirtualRows(props: VirtualRowsProps) {
  const { label, columns, template, className, count, rowHeight, view, empty } = props;
  const indices = Array.from({ length: Math.max(0, view.end - view.first) }, (_, i) => view.first + i);
  return (
    <div
      className={`rows ${className}`}
      ref={view.ref}
      onScroll={view.onScroll}
      tabIndex={0}
      role="region"
      aria-label={label}
    >
      <div role="table" aria-label={label} aria-rowcount={count + 1} aria-colcount={columns.length}>
        <div role="rowgroup" className="rows-head">
          <div role="row" className="row" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
            {columns.map((column) => (
              <div
                key={column.key}
                role="columnheader"
                className="cell"
                data-align={column.align}
                data-col={column.key}
              >
                {column.title}
              </div>
            ))}
          </div>
        </div>
        <div role="rowgroup" className="rows-body" style={{ height: count * rowHeight }}>
          {indices.map((index) => (
            <Row key={index} index={index} {...props} />
          ))}
        </div>
      </div>
      {count === 0 ? <div className="rows-empty">{empty}</div> : null}
    </div>
  );
}

function Row({ index, columns, template, rowHeight, renderRow }: VirtualRowsProps & { index: number }) {
  const { key, cells, tone } = renderRow(index);
  return (
    <div
      key={key}
      role="row"
      className="row"
      aria-rowindex={index + 2}
      data-tone={tone}
      style={{ gridTemplateColumns: template, height: rowHeight, top: index * rowHeight }}
    >
      {columns.map((column, place) => (
        <div key={column.key} role="cell" className="cell" data-align={column.align} data-col={column.key}>
          <div className="cell-text">{cells[place]}</div>
        </div>
      ))}
    </div>
  );
}
