import type { SessionUser } from '../sdk/index.ts';
import { ApiError } from '../sdk/index.ts';
import type { Context } from './context.ts';
import { CliError, EXIT, HINTS } from './failure.ts';
import { isAtTerminal, passwordOf, textOf } from './prompts.ts';

/** Proving who one is with what a person knows: at a login, and again for what must not happen by a stolen session. */

export interface PasswordLogin {
  /** Username, or e-mail address. */
  name: string;
  password: string;
  /** Where the account lives; left out: where people sign up. */
  tenantId?: number | undefined;
}

/** Logs in; where a second factor is due, it is asked for. */
export async function loginByPassword(context: Context, login: PasswordLogin): Promise<SessionUser> {
  const { name, ...rest } = login;
  const who = name.includes('@') ? { email: name } : { username: name };
  try {
    return await context.session.login({ ...who, ...rest });
  } catch (error) {
    const { code, methods, token } = readStep(error);
    if (code !== 'mfa_required' || token === undefined || !takesCode(methods) || !isAtTerminal(context))
      throw error;
    return context.session.loginBy('/api/login/mfa', { mfa_token: token, code: await askCode(context) });
  }
}

/** Does what wants a fresh proof, and asks for that when the session's is too old. */
export async function withFreshProof<T>(context: Context, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const { code, methods } = readStep(error);
    if (code !== 'reauthentication_required') throw error;
    if (!isAtTerminal(context)) throw needsPerson();
    await prove(context, methods);
    return act();
  }
}

async function prove(context: Context, methods: readonly string[]): Promise<void> {
  const isByPassword = methods.includes('password');
  if (!isByPassword && !takesCode(methods)) throw needsPerson();
  const proof = isByPassword
    ? { password: await passwordOf(context, { fromStdin: false }) }
    : { code: await askCode(context) };
  try {
    await context.session.request('POST', '/api/reauthenticate', proof);
  } catch (error) {
    // a terminal that was let in from a browser proves nothing here
    throw error instanceof ApiError && error.status === 403 ? needsPerson() : error;
  }
}

function askCode(context: Context): Promise<string> {
  const message = 'Code of your authenticator app, or a recovery code';
  return textOf(context, undefined, { message, option: 'the code' });
}

function takesCode(methods: readonly string[]): boolean {
  return methods.includes('totp') || methods.includes('recovery');
}

function readStep(error: unknown): { code?: string; methods: readonly string[]; token?: string | undefined } {
  if (!(error instanceof ApiError)) return { methods: [] };
  const { methods, mfa_token: token } = error.extensions;
  return {
    code: error.code,
    methods: Array.isArray(methods) ? methods.map(String) : [],
    token: typeof token === 'string' ? token : undefined,
  };
}

function needsPerson(): CliError {
  const message = 'This wants a proof of who you are, given a moment ago.';
  return new CliError(EXIT.forbidden, 'reauthentication_required', message, HINTS.password);
}
