/** What a session may do, as its person would say it. */

const WORDS: Record<string, string> = {
  'sync:read': 'see records',
  'sync:write': 'change records',
  'config:read': 'read the configuration',
  chat: 'chat',
  admin: 'administer',
  'audit:read': 'read the audit log',
};

/** Null: the session is not narrowed. */
export function mayWords(scopes: readonly string[] | null | undefined): string {
  if (scopes === null || scopes === undefined) return 'do all that you may';
  const words = scopes.map((scope) => WORDS[scope] ?? scope);
  const [last = 'do nothing', ...others] = words.toReversed();
  return others.length === 0 ? last : `${others.toReversed().join(', ')} and ${last}`;
}
