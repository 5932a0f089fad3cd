import type { RecordData } from '../protocol/sync.ts';
import type { Row, Value } from './literal.ts';
import type { ColumnSpec, Conversion } from './mapping.ts';

/** Values of columns as values of records, and back. */

/** A value that its mapping cannot take. */
export class MappingFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MappingFault';
  }
}

/** NULL becomes an absent field. */
export function toFields(specs: Record<string, ColumnSpec>, row: Row): RecordData {
  const data: RecordData = {};
  for (const [field, { column, as }] of Object.entries(specs)) {
    const value = toWire(row[column] ?? null, as, column);
    if (value !== null) data[field] = value;
  }
  return data;
}

export function toWire(value: Value, as: Conversion, column: string): string | number | null {
  if (value === null) return null;
  if (value instanceof Uint8Array) throw new MappingFault(`${column} holds a blob`);
  if (as === 'text') return String(value);
  if (as === 'number') return toNumber(value, column);
  if (as === 'cents') return toMoney(toNumber(value, column), column);
  return value;
}

/** A record's value for a column. */
export function toLocal(value: unknown, as: Conversion): Value {
  if (value === undefined || value === null) return null;
  if (as === 'cents') return toCents(value);
  if (as === 'number' && (typeof value === 'number' || typeof value === 'string')) return Number(value);
  if (typeof value === 'number') return as === 'text' ? String(value) : value;
  if (typeof value === 'string') return value;
  return typeof value === 'boolean' ? Number(value) : JSON.stringify(value);
}

/** A record id from its template; every column in it must have a value. */
export function toId(template: string, partition: string, row: Row): string {
  return template.replaceAll(/\$\{([^}]*)\}/g, (_, name: string) => {
    if (name === 'partition') return partition;
    const value = toWire(row[name] ?? null, 'text', name);
    if (value === null) throw new MappingFault(`${name} is empty, but names the record`);
    return String(value);
  });
}

export function toNumber(value: Value, column: string): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number))
    throw new MappingFault(`${column} is no number`);
  return number;
}

function toMoney(cents: number, column: string): string {
  if (!Number.isSafeInteger(cents)) throw new MappingFault(`${column} is no whole number of cents`);
  const digits = String(Math.abs(cents)).padStart(3, '0');
  return `${cents < 0 ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`;
}

function toCents(value: unknown): number | null {
  const match = /^(-?)(\d+)(?:\.(\d{1,2})0*)?$/.exec(
    typeof value === 'number' ? String(value) : (value as string),
  );
  if (!match) return null;
  const [, sign, whole = '0', part = ''] = match;
  return Number(`${sign ?? ''}${whole}${part.padEnd(2, '0')}`);
}
