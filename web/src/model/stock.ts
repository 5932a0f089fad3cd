import { addNumbers } from '../../../protocol/decimal.ts';

/** One product: its quantity per branch. */
export interface StockRow {
  sku: string;
  name: string;
  quantities: ReadonlyMap<string, number>;
  total: number;
  /** The lowest quantity of any branch. */
  lowest: number;
}

interface Holding {
  sku: string;
  branch: string;
  quantity: number;
  version: number;
}

interface Product {
  sku: string;
  name: string;
  quantities: Map<string, number>;
  /** Records behind each quantity: a branch may split one product over several. */
  holdings: Map<string, number>;
}

/** Stock records turned round: products down, branches across. */
export interface StockPivot {
  put: (id: string, branch: string, version: number, data: Record<string, unknown>) => boolean;
  remove: (id: string) => boolean;
  clear: () => void;
  /** Stock records: one a product and branch, as a rule. */
  size: () => number;
  /** A product's name; empty when no branch has told it. */
  nameOf: (sku: string) => string;
  branches: () => string[];
  rows: () => StockRow[];
}

export function createStockPivot(): StockPivot {
  const holdings = new Map<string, Holding>();
  const products = new Map<string, Product>();
  const perBranch = new Map<string, number>();

  function add(holding: Holding, name: unknown): void {
    const { sku, branch, quantity } = holding;
    let product = products.get(sku);
    if (!product)
      products.set(sku, (product = { sku, name: '', quantities: new Map(), holdings: new Map() }));
    if (typeof name === 'string' && name !== '') product.name = name;
    count(product.holdings, branch, 1);
    product.quantities.set(branch, addNumbers(product.quantities.get(branch) ?? 0, quantity));
    count(perBranch, branch, 1);
  }

  function take(id: string): boolean {
    const holding = holdings.get(id);
    if (!holding) return false;
    holdings.delete(id);
    const { sku, branch, quantity } = holding;
    count(perBranch, branch, -1);
    const product = products.get(sku);
    if (!product) return true;
    const left = count(product.holdings, branch, -1);
    if (left === 0) product.quantities.delete(branch);
    else product.quantities.set(branch, addNumbers(product.quantities.get(branch) ?? 0, -quantity));
    if (product.holdings.size === 0) products.delete(sku);
    return true;
  }

  return {
    put(id, branch, version, data) {
      const known = holdings.get(id);
      if (known && known.version > version) return false;
      const { sku, quantity, name } = data;
      if (typeof sku !== 'string' || typeof quantity !== 'number' || !Number.isFinite(quantity)) return false;
      take(id);
      const holding = { sku, branch, quantity, version };
      holdings.set(id, holding);
      add(holding, name);
      return true;
    },
    remove: take,
    clear() {
      holdings.clear();
      products.clear();
      perBranch.clear();
    },
    size: () => holdings.size,
    nameOf: (sku) => products.get(sku)?.name ?? '',
    branches: () => [...perBranch.keys()].sort(naturally),
    rows: () => [...products.values()].sort((a, b) => (a.sku < b.sku ? -1 : 1)).map(toRow),
  };
}

const collator = new Intl.Collator('en', { numeric: true });
const naturally = (a: string, b: string): number => collator.compare(a, b);

function count(counts: Map<string, number>, key: string, by: number): number {
  const left = (counts.get(key) ?? 0) + by;
  if (left === 0) counts.delete(key);
  else counts.set(key, left);
  return left;
}

function toRow({ sku, name, quantities }: Product): StockRow {
  const values = [...quantities.values()];
  return {
    sku,
    name,
    quantities,
    total: values.reduce(addNumbers, 0),
    lowest: values.reduce((low, value) => Math.min(low, value), Infinity),
  };
}
