import type { WorkingRecord } from './working-set.ts';

/** PostgreSQL's jsonb holds neither NUL nor half a surrogate pair; nor may a key reach an object's prototype. */
export function findUnstorable(record: WorkingRecord): { path: string; message: string } | undefined {
  record.json ??= JSON.stringify(record.data);
  if (/\\u(0000|d[89a-f])/i.test(record.json) && hasUnstorableText(record.data)) {
    return { path: '', message: UNSTORABLE };
  }
  if (record.json.includes('"__proto__":'))
    return { path: '__proto__', message: 'is not a name for a field' };
  return undefined;
}

export const UNSTORABLE = 'text must be well-formed Unicode without NUL';

/** Whether any text in a value holds NUL or half a surrogate pair. */
export function hasUnstorableText(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\u0000') || !value.isWellFormed();
  if (value === null || typeof value !== 'object') return false;
  return Object.entries(value).some(([key, member]) => hasUnstorableText(key) || hasUnstorableText(member));
}
