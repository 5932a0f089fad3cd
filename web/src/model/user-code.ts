/** Letters of a code that a terminal shows, without its hyphen. */
export const USER_CODE_LENGTH = 8;

/** What was typed, as the terminal shows it: XXXX-XXXX. */
export function toUserCode(typed: string): string {
  const letters = typed
    .toUpperCase()
    .replace(/[^A-Z]/g, '')
    .slice(0, USER_CODE_LENGTH);
  return letters.length > 4 ? `${letters.slice(0, 4)}-${letters.slice(4)}` : letters;
}
