import { password as askHidden, text as askText } from '@clack/prompts';
import type { Context } from './context.ts';
import { CliError, EXIT, usageError } from './failure.ts';
import { clean } from './terminal-text.ts';

/** Asking a person, on a terminal only; a script is told which option it left out. */

const MAX_SECRET_BYTES = 64 * 1024;

export interface Question {
  message: string;
  /** The option that answers it without asking. */
  option: string;
  placeholder?: string;
}

/** The value given, or else the answer to the question. */
export async function textOf(
  context: Context,
  given: string | undefined,
  question: Question,
): Promise<string> {
  if (given !== undefined && given !== '') return given;
  requireTerminal(context, question.option);
  const { message, placeholder } = question;
  const answer = await askText({
    message,
    ...streams(context),
    ...(placeholder === undefined ? {} : { placeholder }),
    validate: (value) => (value === undefined || value.trim() === '' ? 'Please type something.' : undefined),
  });
  return taken(answer).trim();
}

/** A password: typed unseen, or the first line of the standard input. Never from the command line. */
export async function passwordOf(
  context: Context,
  { fromStdin, repeat = false }: { fromStdin: boolean; repeat?: boolean },
): Promise<string> {
  if (fromStdin) return readSecret(context);
  requireTerminal(context, '--password-stdin');
  const ask = (message: string): Promise<string | symbol> =>
    askHidden({ message, mask: '*', ...streams(context), validate: requireSome });
  const secret = taken(await ask('Password'));
  if (repeat && taken(await ask('Password again')) !== secret)
    throw new CliError(EXIT.failed, 'password_mismatch', 'The two passwords are not the same.');
  return secret;
}

/** Where clack reads and writes. */
export function streams({ input, output, signal }: Context): Pick<Context, 'input' | 'output' | 'signal'> {
  return { input, output, signal };
}

function cancelled(): CliError {
  return new CliError(EXIT.failed, 'cancelled', 'Cancelled.');
}

function taken(answer: string | symbol): string {
  if (typeof answer === 'symbol') throw cancelled();
  return answer;
}

function requireSome(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? 'Please type something.' : undefined;
}

/** Whether there is somebody to ask. */
export function isAtTerminal({ json, input, output }: Context): boolean {
  return !json && input.isTTY === true && output.isTTY === true;
}

function requireTerminal(context: Context, option: string): void {
  if (!isAtTerminal(context)) throw usageError(`Not in a terminal: give ${clean(option)}.`);
}

async function readSecret({ input }: Context): Promise<string> {
  let text = '';
  for await (const chunk of input) {
    text += String(chunk);
    if (text.includes('\n') || text.length > MAX_SECRET_BYTES) break;
  }
  const [line = ''] = text.split(/\r?\n/, 1);
  if (line === '') throw usageError('The standard input holds no password.');
  return line;
}
