import { compareDecimal } from '../protocol/decimal.ts';
import type { RecordData } from '../protocol/sync.ts';
import type { Row, Value } from './literal.ts';
import type { DateForm } from './local-dates.ts';
import { fromIsoDate, toIsoDate } from './local-dates.ts';
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
  for (const [field, spec] of Object.entries(specs)) {
    const value = toWire(row[spec.column] ?? null, spec);
    if (value !== null) data[field] = value;
  }
  return data;
}

export function toWire(value: Value, spec: ColumnSpec): string | number | boolean | null {
  const { as, column } = spec;
  if (value === null) return null;
  refuseUnsendable(value, column);
  const named = translate(spec, value);
  if (named !== undefined) return named;
  if (as === undefined) return value;
  if (as === 'text') return String(value);
  if (as === 'number') return toNumber(value, column);
  if (as === 'cents') return toMoney(toNumber(value, column), column);
  return as === 'unix' ? fromSeconds(toNumber(value, column), column) : toDate(value, as, column);
}

/** What neither JSON nor the centre has a form for. */
function refuseUnsendable(value: Exclude<Value, null>, column: string): asserts value is string | number {
  if (value instanceof Uint8Array) throw new MappingFault(`${column} holds a blob`);
  if (typeof value === 'number' && !Number.isFinite(value))
    throw new MappingFault(`${column} holds a number that is not finite`);
  if (typeof value === 'string' && value.includes('\0'))
    throw new MappingFault(`${column} holds text with a NUL character`);
}

/** The word of the other side, where the mapping has one. */
function translate(
  { values }: Conversion,
  value: string | number | boolean,
): string | number | boolean | undefined {
  return values && Object.hasOwn(values, String(value)) ? values[String(value)] : undefined;
}

function toDate(value: string | number, form: DateForm, column: string): string {
  const date = toIsoDate(String(value), form);
  if (date === undefined) throw new MappingFault(`${column} is no date of the form ${form}`);
  return date;
}

function fromSeconds(seconds: number, column: string): string {
  const date = new Date(seconds * 1_000);
  if (Number.isNaN(date.getTime())) throw new MappingFault(`${column} is no date in seconds`);
  return date.toISOString();
}

/** A record's value for a column. */
export function toLocal(value: unknown, conversion: Conversion): Value {
  if (value === undefined || value === null) return null;
  if (typeof value === 'object') return JSON.stringify(value);
  const scalar = value as string | number | boolean;
  const local = translate(conversion, scalar) ?? convertLocal(scalar, conversion.as);
  return typeof local === 'boolean' ? Number(local) : local;
}

function convertLocal(value: string | number | boolean, as: Conversion['as']): Value | boolean {
  if (as === undefined) return value;
  if (as === 'cents') return toCents(value);
  if (typeof value === 'boolean') return value;
  if (as === 'number') return Number(value);
  if (as === 'text') return String(value);
  if (as === 'unix') return toSeconds(value);
  return typeof value === 'string' ? (fromIsoDate(value, as) ?? value) : value;
}

/** What is no date stays as it is. */
function toSeconds(value: string | number): string | number {
  const at = typeof value === 'string' ? Date.parse(value) : NaN;
  return Number.isNaN(at) ? value : Math.floor(at / 1_000);
}

/** A record id from its template; every column in it must have a value. */
export function toId(template: string, partition: string, row: Row): string {
  return template.replaceAll(/\$\{([^}]*)\}/g, (_, name: string) => {
    if (name === 'partition') return partition;
    const value = toWire(row[name] ?? null, { column: name, as: 'text' });
    if (value === null) throw new MappingFault(`${name} is empty, but names the record`);
    return String(value);
  });
}

/** Undefined: it names no record. */
export function findId(template: string, partition: string, row: Row): string | undefined {
  try {
    return toId(template, partition, row);
  } catch (error) {
    if (error instanceof MappingFault) return undefined;
    throw error;
  }
}

export function toNumber(value: Value | boolean, column: string): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number))
    throw new MappingFault(`${column} is no number`);
  if (typeof value === 'string' && !keepsDigits(value, number))
    throw new MappingFault(`${column} has more digits than a number can hold`);
  return number;
}

/** With 15 digits it always does. */
function keepsDigits(text: string, number: number): boolean {
  if (text.replaceAll(/\D/g, '').length <= 15) return true;
  try {
    return compareDecimal(text.trim(), String(number)) === 0;
  } catch {
    return false; // Written in another way (0x…, .5), and too long to be sure.
  }
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
