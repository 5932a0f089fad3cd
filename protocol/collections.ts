/**
 * The built-in collections: JSON Schema 2020-12 of their records and the policy that decides conflicts
 * (docs/PROTOCOL.md, "Collections"). Further properties are allowed; money is a decimal string, quantity a number.
 */

export type Policy = 'reject_stale' | 'merge' | 'last_write' | 'append_only' | 'states';

export interface CollectionDefinition {
  name: string;
  policy: Policy;
  schema: Record<string, unknown>;
  /** states: the field, and the steps allowed from each value. */
  states?: { field: string; steps: Record<string, string[]> };
  /** A field numbered 1, 2, 3… per partition in commit order (chat messages). */
  numbered?: string;
  /** Written by the gateway alone. */
  internal?: boolean;
}

const money = {
  type: 'string',
  pattern: '^-?\\d{1,15}(\\.\\d{1,6})?$',
  description: 'an amount as text, such as "12.50"',
};
const date = {
  type: 'string',
  maxLength: 40,
  pattern:
    '^\\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])([T ]([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d(\\.\\d+)?)?(Z|[+-]\\d{2}:?\\d{2})?)?$',
  description: 'a date such as 2026-11-20 or 2026-11-20T14:30:00Z (ISO 8601)',
};
const text = (maxLength: number): Record<string, unknown> => ({ type: 'string', maxLength });
const required = (maxLength: number): Record<string, unknown> => ({
  type: 'string',
  minLength: 1,
  maxLength,
});

const lines = {
  type: 'array',
  maxItems: 5_000,
  items: {
    type: 'object',
    required: ['sku', 'quantity', 'unitPrice'],
    properties: {
      sku: required(100),
      quantity: { type: 'number' },
      unitPrice: money,
      description: text(1_000),
    },
  },
};

const orderStatuses = ['draft', 'placed', 'confirmed', 'shipped', 'delivered', 'cancelled'];

export const COLLECTIONS: readonly CollectionDefinition[] = [
  {
    name: 'fatura',
    policy: 'append_only',
    schema: {
      type: 'object',
      required: ['number', 'date', 'kind', 'total', 'lines'],
      properties: {
        number: required(100),
        date,
        kind: { enum: ['sale', 'credit'] },
        total: money,
        customer: text(200),
        lines,
      },
    },
  },
  {
    name: 'stoku',
    policy: 'merge',
    schema: {
      type: 'object',
      required: ['sku', 'quantity'],
      properties: { sku: required(100), quantity: { type: 'number' }, name: text(1_000), unitPrice: money },
    },
  },
  {
    name: 'porosia',
    policy: 'states',
    states: {
      field: 'status',
      steps: {
        draft: ['placed', 'cancelled'],
        placed: ['confirmed', 'cancelled'],
        confirmed: ['shipped', 'cancelled'],
        shipped: ['delivered', 'cancelled'],
        delivered: [],
        cancelled: [],
      },
    },
    schema: {
      type: 'object',
      required: ['number', 'status'],
      properties: { number: required(100), status: { enum: orderStatuses }, lines, customer: text(200) },
    },
  },
  {
    name: 'branches',
    policy: 'merge',
    schema: { type: 'object', required: ['name'], properties: { name: required(200) } },
  },
  {
    name: 'assets',
    policy: 'merge',
    schema: {
      type: 'object',
      required: ['name'],
      properties: { name: required(200), status: text(100), branch: text(100) },
    },
  },
  { name: 'settings', policy: 'reject_stale', schema: { type: 'object', required: ['value'] } },
  {
    name: 'messages',
    policy: 'append_only',
    numbered: 'seq',
    schema: {
      type: 'object',
      required: ['body', 'from'],
      properties: { body: required(4_000), from: { type: 'object' }, seq: { type: 'integer' } },
    },
  },
];
