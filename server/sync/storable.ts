interface Fault {
  path: string;
  message: string;
}

/** Whether a JSON text may hold what cannot be kept: seldom wrong, and quick, where a walk through the value is neither. */
export function looksUnstorable(json: string): boolean {
  return /\\u(0000|d[89a-f])/i.test(json) || json.includes('"__proto__":');
}

/** The first text or name in a value that PostgreSQL's jsonb cannot keep, or that could reach an object's prototype. */
export function findUnstorablePart(value: unknown): Fault | undefined {
  if (typeof value === 'string') return isStorable(value) ? undefined : UNSTORABLE;
  if (value === null || typeof value !== 'object') return undefined;
  for (const [key, member] of Object.entries(value)) {
    if (key === '__proto__') return { path: key, message: 'is not a name for a field' };
    const fault = isStorable(key) ? findUnstorablePart(member) : UNSTORABLE;
    if (fault) return fault;
  }
  return undefined;
}

const UNSTORABLE: Fault = { path: '', message: 'text must be well-formed Unicode without NUL' };

function isStorable(text: string): boolean {
  return !text.includes('\u0000') && text.isWellFormed();
}
