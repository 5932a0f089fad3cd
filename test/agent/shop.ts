import type { DatabaseSyncInstance } from '@photostructure/sqlite';

/** A shop that does with its books whatever an ERP may do. Movements are never left without a head before `opened`. */
export interface Shop {
  /** Makes one change, in one transaction, and says what it was. */
  change(): string;
  /** The agent is installed. */
  opened(): void;
  /** Corrects every total that the centre does not take. */
  correct(): string;
}

type Row = Record<string, string | number | null>;

export function createShop(erp: DatabaseSyncInstance, dice: (below: number) => number): Shop {
  let number = 0;
  let isOpen = false;
  /** Heads that were deleted while their movements stayed. */
  const headless: { id: number; number: string; total: string }[] = [];
  const pick = (sql: string): Row | undefined => {
    const rows = erp.prepare(sql).all() as Row[];
    return rows[dice(rows.length || 1)];
  };
  const sku = (): string => `'${dice(2) === 0 ? 'A' : 'B'}'`;
  const next = (): string => `N${(number += 1)}`;
  const head = (id: number | 'NULL', name = next(), total = dice(8) === 0 ? 'wrong' : '1.00'): string =>
    `INSERT INTO invoices VALUES (${id}, '${name}', 'd', 'sale', '${total}', NULL)`;
  const freeId = (): number => {
    // Mostly the next one, as SQLite gives them; sometimes one that was free before it.
    const { m } = erp.prepare('SELECT coalesce(max(id), 0) AS m FROM invoices').get() as { m: number };
    const id = dice(4) === 0 ? 1 + dice(m + 1) : m + 1;
    const isUsed: unknown = erp
      .prepare(
        'SELECT 1 FROM invoices WHERE id = ?1 UNION SELECT 1 FROM stock_movements WHERE invoice_id = ?1',
      )
      .get(id);
    return isUsed ? m + 1000 + dice(1000) : id;
  };
  const move = (invoice: unknown, id: unknown = 'NULL'): string =>
    `INSERT INTO stock_movements VALUES (${String(id)}, ${String(invoice)}, ${sku()}, ${dice(20) - 8})`;
  const movement = (where = 'true'): Row | undefined => pick(`SELECT * FROM stock_movements WHERE ${where}`);
  const invoice = (): Row | undefined => pick('SELECT * FROM invoices');

  const sale = (): string => {
    const id = freeId();
    const lines = Array.from(
      { length: 1 + dice(3) },
      (_, at) =>
        `INSERT OR IGNORE INTO invoice_lines VALUES (${id}, ${at}, ${sku()}, 1, '1.00', 'd'); ${move(id)}`,
    );
    return `${head(id)}; ${lines.join('; ')}`;
  };
  const withMovement = (fn: (row: Row) => string, where?: string) => (): string => {
    const row = movement(where);
    return row ? fn(row) : sale();
  };
  const withInvoice = (fn: (row: Row) => string) => (): string => {
    const row = invoice();
    return row ? fn(row) : sale();
  };
  const drop = (id: unknown): string =>
    `DELETE FROM stock_movements WHERE invoice_id = ${String(id)}; DELETE FROM invoice_lines WHERE invoice_id = ${String(id)}; DELETE FROM invoices WHERE id = ${String(id)}`;

  const changes: (() => string)[] = [
    ...[sale, sale, sale, () => move('NULL'), () => move('NULL')],
    withMovement(
      ({ id }) => `UPDATE stock_movements SET quantity = quantity + ${1 + dice(5)} WHERE id = ${String(id)}`,
    ),
    withMovement(({ id }) => `UPDATE stock_movements SET sku = ${sku()} WHERE id = ${String(id)}`),
    withMovement(({ id }) => `DELETE FROM stock_movements WHERE id = ${String(id)}`),
    withMovement(
      ({ id, invoice_id: of }) =>
        `DELETE FROM stock_movements WHERE id = ${String(id)}; ${move(of ?? 'NULL', id)}`,
    ),
    withMovement(
      ({ id }) => `UPDATE OR IGNORE stock_movements SET id = ${dice(400) - 100} WHERE id = ${String(id)}`,
    ),
    withMovement(({ id }) => {
      const to = freeId();
      return `${head(to)}; UPDATE stock_movements SET invoice_id = ${to} WHERE id = ${String(id)}`;
    }, 'invoice_id IS NULL'),
    withMovement(({ id }) => `UPDATE stock_movements SET invoice_id = NULL WHERE id = ${String(id)}`),
    withMovement(
      ({ id }) =>
        `UPDATE stock_movements SET invoice_id = ${String(invoice()?.['id'] ?? 'NULL')} WHERE id = ${String(id)}`,
    ),
    withInvoice(({ id }) => move(id)),
    withInvoice(({ id }) => drop(id)),
    withInvoice(({ id }) => `${drop(id)}; ${head(Number(id))}; ${move(id)}`),
    withInvoice(
      ({ id, number: name, total }) =>
        `${drop(id)}; ${head(Number(id), String(name), String(total))}; ${move(id)}`,
    ),
    withInvoice(
      ({ id, number: name, total }) =>
        `DELETE FROM invoices WHERE id = ${String(id)}; ${head(Number(id), String(name), String(total))}`,
    ),
    withInvoice(({ id }) => {
      const to = freeId();
      return `UPDATE stock_movements SET invoice_id = ${to} WHERE invoice_id = ${String(id)}; UPDATE invoices SET id = ${to} WHERE id = ${String(id)}`;
    }),
    withInvoice(({ id, number: name, total }) => {
      if (!isOpen) return drop(id);
      headless.push({ id: Number(id), number: String(name), total: String(total) });
      return `DELETE FROM invoices WHERE id = ${String(id)}`;
    }),
    () => {
      const back = headless.splice(dice(headless.length || 1), 1)[0];
      if (!back) return sale();
      const isUsed: unknown = erp
        .prepare('SELECT 1 FROM invoices WHERE id = ? OR number = ?')
        .get(back.id, back.number);
      if (isUsed) return sale();
      return dice(2) === 0 ? head(back.id) : head(back.id, back.number, back.total);
    },
    () => {
      if (!isOpen) return sale();
      const id = freeId();
      headless.push({ id, number: next(), total: '1.00' });
      return move(id);
    },
  ];
  return {
    change() {
      const sql = changes[dice(changes.length)]?.() ?? '';
      erp.exec(`BEGIN; ${sql}; COMMIT`);
      return sql;
    },
    opened: () => void (isOpen = true),
    correct() {
      erp.exec(`UPDATE invoices SET total = '1.00' WHERE total = 'wrong'`);
      return 'correct';
    },
  };
}
