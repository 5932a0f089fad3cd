import { randomUUID } from 'node:crypto';
import type { Mutation } from '../../protocol/sync.ts';

/** An invoice as a branch agent sends it; a test names only what it is about. */
export function invoice(data: Record<string, unknown> = {}): Mutation {
  return {
    collection: 'fatura',
    id: randomUUID(),
    op: 'put',
    data: {
      number: '536365',
      date: '2010-12-01 08:26:00',
      kind: 'sale',
      total: '15.30',
      customer: '17850',
      lines: [{ sku: '85123A', quantity: 6, unitPrice: '2.55', description: 'WHITE HANGING HEART' }],
      ...data,
    },
  };
}

export function stock(branch: string, sku: string, quantity: number, name = 'Lantern'): Mutation {
  return { collection: 'stoku', id: `${branch}/${sku}`, op: 'put', data: { sku, quantity, name } };
}

export function order(data: Record<string, unknown> = {}): Mutation {
  return {
    collection: 'porosia',
    id: randomUUID(),
    op: 'put',
    data: { number: 'PO-1', status: 'draft', ...data },
  };
}
