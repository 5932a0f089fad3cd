/**
 * Rows as SQL literals: the triggers write what SQLite's own `quote()` gives, since every build of SQLite has it and it
 * takes any value (the JSON functions may be missing in the ERP's build, and fail on a blob: that would break a sale).
 */

export type Value = string | number | null | Uint8Array;
export type Row = Record<string, Value>;

/** The SQL expression that lists columns of NEW or OLD. */
export function literalsOf(alias: 'NEW' | 'OLD', columns: readonly string[]): string {
  return columns.map((name) => `quote(${alias}.${quoteName(name)})`).join(` || ',' || `);
}

/** Reads a list of literals. Throws when there are not exactly as many as columns. */
export function parseRow(columns: readonly string[], text: string): Row {
  const values = parseLiterals(text);
  if (values.length !== columns.length)
    throw new Error(`a captured row has ${values.length} values for ${columns.length} columns`);
  return Object.fromEntries(columns.map((name, at) => [name, values[at] ?? null]));
}

export function parseLiterals(text: string): Value[] {
  const pattern = /(X?)'((?:[^']|'')*)'|([^',]+)/gy;
  const values: Value[] = [];
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (!match) throw new Error('a captured row cannot be read');
    values.push(toValue(match));
    // The comma behind it.
    pattern.lastIndex += 1;
  }
  return values;
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function listNames(columns: readonly string[]): string {
  return columns.map(quoteName).join(', ');
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function toValue([, blob, quoted, bare = '']: RegExpExecArray): Value {
  if (quoted !== undefined)
    return blob === 'X' ? Uint8Array.from(Buffer.from(quoted, 'hex')) : quoted.replaceAll("''", "'");
  if (bare === 'NULL') return null;
  const number = Number(bare);
  // Beyond 2^53 the digits are the value: as text they stay what they are.
  return /^-?\d+$/.test(bare) && !Number.isSafeInteger(number) ? bare : number;
}
