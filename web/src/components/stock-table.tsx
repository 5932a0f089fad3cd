import { formatNumber } from '../format.ts';
import { useRowHeight } from '../hooks/use-row-height.ts';
import { useSideways } from '../hooks/use-sideways.ts';
import { useWindow } from '../hooks/use-window.ts';
import type { StockRow } from '../model/stock.ts';
import { Icon } from './icon.tsx';
import { VirtualRows, type Column } from './virtual-rows.tsx';

interface StockTableProps {
  rows: readonly StockRow[];
  branches: readonly string[];
  /** At or below it a quantity is marked as low. */
  low: number;
  empty: string;
}

/** Products down, branches across. */
export function StockTable({ rows, branches, low, empty }: StockTableProps) {
  const rowHeight = useRowHeight(true);
  const view = useWindow(rows.length, rowHeight);
  const template = `var(--product-width) var(--total-width) repeat(${branches.length}, minmax(var(--branch-width), 1fr))`;
  const sideways = useSideways(view.ref, template);
  const columns: Column[] = [
    { key: 'product', title: 'Product' },
    { key: 'total', title: 'All', align: 'end' },
    ...branches.map((branch): Column => ({
      key: `b:${branch}`,
      title: <span title={branch}>{branch}</span>,
      align: 'end',
    })),
  ];
  return (
    <div className="rows-frame" data-ahead={sideways.ahead > 0} data-behind={sideways.behind}>
      {sideways.ahead === 0 ? null : (
        <button
          type="button"
          className="rows-ahead"
          aria-label={`+${formatNumber(sideways.ahead)} more ${sideways.ahead === 1 ? 'branch' : 'branches'}: show`}
          onClick={sideways.forward}
        >
          +{formatNumber(sideways.ahead)}
          <Icon name="forward" />
        </button>
      )}
      <VirtualRows
        label="Stock: products by branch"
        className="stock"
        columns={columns}
        template={template}
        count={rows.length}
        rowHeight={rowHeight}
        view={view}
        renderRow={(index) => renderProduct(rows[index], branches, low)}
        empty={empty}
      />
    </div>
  );
}

function renderProduct(row: StockRow | undefined, branches: readonly string[], low: number) {
  if (!row) return { key: '', cells: [] };
  return {
    key: row.sku,
    cells: [
      <span key="product" className="two-lines">
        <span>{row.sku}</span>
        <span className="sub">{row.name}</span>
      </span>,
      <span key="total" className="strong">
        {formatNumber(row.total)}
      </span>,
      ...branches.map((branch) => <Quantity key={branch} value={row.quantities.get(branch)} low={low} />),
    ],
  };
}

function Quantity({ value, low }: { value: number | undefined; low: number }) {
  if (value === undefined) return <span className="sub">–</span>;
  const tone = value < 0 ? 'negative' : value <= low ? 'low' : undefined;
  return (
    <span className={`quantity ${tone ?? ''}`}>
      {formatNumber(value)}
      {tone === undefined ? null : <span className="mark"> {tone === 'negative' ? 'below 0' : 'low'}</span>}
    </span>
  );
}
