import { AppError } from '../../protocol/errors.ts';

/**
 * Refuses text that PostgreSQL cannot hold: NUL, and half a surrogate pair. All other text is kept as it was given; it
 * is for those who show it to treat it as text and never as HTML (S64).
 */
export function requireText(path: string, text: string): void {
  if (!text.includes('\u0000') && text.isWellFormed()) return;
  throw new AppError('invalid_message', {
    message: `The message does not parse: ${path}: text must be well-formed Unicode without NUL.`,
    errors: [{ path, message: 'text must be well-formed Unicode without NUL' }],
  });
}
