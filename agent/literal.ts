/**
 * Rows as SQL literals: the triggers write what SQLite's own `quote()` gives, since every build of SQLite has it and it
 * takes any value (the JSON functions may be missing in the ERP's build, and fail on a blob: that would break a sale).
 */

export type Value = string | number | null | Uint8Array;
export type Row = Record<string, Value>;

/** The SQL expression that lists columns of NEW or OLD. */
export function literalsOf(alias: 'NEW' | 'OLD', columns: readonly string[]): string {
  return columns.map((name) => literalOf(`${alias}.${quoteName(name)}`)).join(` || ',' || `);
}

/** Text with a NUL, at which quote() would stop without a word, goes as its bytes, marked with a T. */
function literalOf(column: string): string {
  const isCut = `typeof(${column}) = 'text' AND instr(${column}, char(0))`;
  return `CASE WHEN ${isCut} THEN 'T' || quote(CAST(${column} AS BLOB)) ELSE quote(${column}) END`;
}

/** Reads a list of literals. Throws when there are not exactly as many as columns. */
export function parseRow(columns: readonly string[], text: string): Row {
  const values = parseLiterals(text);
  if (values.length !== columns.length)
    throw new Error(`a captured row has ${values.length} values for ${columns.length} columns`);
  return Object.fromEntries(columns.map((name, at) => [name, values[at] ?? null]));
}

export function parseLiterals(text: string): Value[] {
  const pattern = /(T?X|)'((?:[^']|'')*)'|([^',]+)/gy;
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

function toValue([, kind, quoted, bare = '']: RegExpExecArray): Value {
  if (kind === 'TX') return Buffer.from(quoted ?? '', 'hex').toString('utf8');
  if (kind === 'X') return Uint8Array.from(Buffer.from(quoted ?? '', 'hex'));
  if (quoted !== undefined) return quoted.replaceAll("''", "'");
  if (bare === 'NULL') return null;
  const number = Number(bare);
  // Beyond 2^53 the digits are the value: as text they stay what they are.
  return /^-?\d+$/.test(bare) && !Number.isSafeInteger(number) ? bare : number;
}
