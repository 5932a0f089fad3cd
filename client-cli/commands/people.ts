import type { Command } from 'commander';
import { requireLogin } from '../connected.ts';
import type { Context } from '../context.ts';
import { deviceLines, loginByDevice } from '../device-login.ts';
import { CliError, EXIT, usageError } from '../failure.ts';
import { collect, parseCount } from '../options.ts';
import type { AddCommands } from '../program.ts';
import { loginByPassword } from '../password-login.ts';
import { isAtTerminal, passwordOf, textOf } from '../prompts.ts';
import { fullName, pairLines } from '../render.ts';
import { clean } from '../terminal-text.ts';

export interface SignupOptions {
  username?: string;
  email?: string;
  passwordStdin?: boolean;
}

export interface VerifyOptions {
  username?: string;
  email?: string;
  resend?: boolean;
}

const STDIN = 'read the password from the first line of the standard input';

interface LoginOptions {
  passwordStdin?: boolean;
  tenantId?: number;
  device?: boolean;
  scope?: string[];
}

export const addPeopleCommands: AddCommands = (parent: Command, bind) => {
  parent
    .command('signup')
    .description('create an account; a code comes by mail')
    .option('--username <name>')
    .option('--email <address>')
    .option('--password-stdin', STDIN)
    .action(bind(signup));
  parent
    .command('verify')
    .argument('[code]', 'six digits from the mail')
    .description('confirm the e-mail address with the code')
    .option('--email <address>')
    .option('--username <name>')
    .option('--resend', 'send a new code to --email instead')
    .action(bind(verify));
  parent
    .command('login')
    .argument('[name]', 'username or e-mail address: asks for the password here')
    .description(
      'log in, in the browser or with a password; the session is kept in a file that only you can read',
    )
    .option('--password-stdin', STDIN)
    .option(
      '--tenant-id <n>',
      'with a name and a password: the number of the organisation that has invited you',
      parseCount,
    )
    .option(
      '--device',
      'log in by approving this terminal in a browser; left out: in a terminal without a name',
    )
    .option(
      '--scope <scope>',
      'with --device: only this right; may be repeated. Left out: all but admin',
      collect,
    )
    .action(bind(login));
  parent.command('logout').description('end the session, here and at the gateway').action(bind(logout));
  parent.command('whoami').description('who is logged in, with what rights').action(bind(whoami));
};

/** Signs up. What is left out is asked for; the password is typed unseen, or comes by the standard input. */
export async function signup(context: Context, options: SignupOptions): Promise<void> {
  const username = await textOf(context, options.username, { message: 'Username', option: '--username' });
  const email = await textOf(context, options.email, { message: 'E-mail address', option: '--email' });
  const password = await passwordOf(context, { fromStdin: options.passwordStdin === true, repeat: true });
  const answer = await context.session.signup({ username, email, password });
  if (context.json) context.emit(answer);
  else {
    context.print(clean(answer.message));
    context.print(`Then: npm run sluice -- verify <code> --username ${clean(username)}`);
  }
}

/** Confirms the address, or has another code sent. */
export async function verify(
  context: Context,
  givenCode: string | undefined,
  options: VerifyOptions,
): Promise<void> {
  const answer =
    options.resend === true
      ? await context.session.resendVerification({
          email: await textOf(context, options.email, { message: 'E-mail address', option: '--email' }),
        })
      : await context.session.verifyEmail({
          ...(await whoseCode(context, options)),
          code: await textOf(context, givenCode, { message: 'Code from the mail', option: 'the code' }),
        });
  if (context.json) context.emit(answer);
  else context.print(clean(answer.message));
}

/** The username, for several people may have signed up with one address; an address when only that is given. */
async function whoseCode(
  context: Context,
  { username, email }: VerifyOptions,
): Promise<{ username: string } | { email: string }> {
  if (username === undefined && email !== undefined) return { email };
  return { username: await textOf(context, username, { message: 'Username', option: '--username' }) };
}

/** Logs in and keeps the session. */
export async function login(
  context: Context,
  givenName: string | undefined,
  options: LoginOptions,
): Promise<void> {
  const { tenantId } = options;
  const isByPassword = options.passwordStdin === true || tenantId !== undefined;
  const isUnnamed = givenName === undefined && !isByPassword && isAtTerminal(context);
  if (options.device === true || options.scope !== undefined || isUnnamed) {
    await loginInBrowser(context, givenName, options);
    return;
  }
  const question = { message: 'Username or e-mail address', option: 'the username' };
  const name = await textOf(context, givenName, question);
  const password = await passwordOf(context, { fromStdin: options.passwordStdin === true });
  const user = await loginByPassword(context, { name, password, tenantId });
  if (context.json) context.emit({ user, url: context.url });
  else context.print(`Logged in as ${clean(user.username)} at ${context.url}.`);
}

/** Shows a code and a link, and keeps the session once somebody has approved. */
async function loginInBrowser(
  context: Context,
  name: string | undefined,
  { passwordStdin, tenantId, scope: scopes }: LoginOptions,
): Promise<void> {
  if (tenantId !== undefined)
    throw usageError('--device is for accounts that signed up here: log in with a name and a password.');
  if (passwordStdin === true) throw usageError('A password is not needed with --device.');
  const user = await loginByDevice(context, {
    scopes,
    name,
    show(codes) {
      const { device_code: _secret, ...shown } = codes;
      if (context.json) context.emit({ type: 'device', ...shown });
      else for (const line of deviceLines(context, codes)) context.remark(line);
    },
  });
  if (context.json) context.emit({ user, url: context.url });
  else context.print(`Logged in as ${clean(user.username)} at ${context.url}.`);
}

/** Ends the session. Without one there is nothing to do; with the gateway away the local half is ended all the same. */
export async function logout(context: Context): Promise<void> {
  let user;
  try {
    user = await context.session.restore();
  } catch {
    // Not reachable: what is stored here goes nevertheless, and the error is told below.
  }
  await context.session.logout();
  if (context.json) context.emit({ loggedOut: true, user: user ?? null });
  else context.print(user ? `Logged out ${clean(user.username)}.` : 'Nobody was logged in.');
}

interface Me {
  user: {
    id: string;
    username: string;
    display_name?: string | null;
    email?: string;
    role?: string;
    tenant_id?: number;
  };
  scopes?: string[];
  partitions?: { read: string[]; write: string[] };
}

/** Says who is logged in. */
export async function whoami(context: Context): Promise<void> {
  await requireLogin(context);
  const me = await context.session.request<Me>('GET', '/auth/me');
  if (typeof me.user.username !== 'string')
    throw new CliError(EXIT.failed, 'invalid_response', 'The gateway did not say who you are.');
  const { user, scopes = [], partitions } = me;
  if (context.json) {
    context.emit({ user, scopes, partitions, url: context.url });
    return;
  }
  const paper = { theme: context.theme, columns: context.output.columns };
  const list = (names: readonly string[] = []): string => (names.length === 0 ? 'none' : names.join(' '));
  context.print(context.theme.bold(clean(fullName(user.username, user.display_name ?? undefined))));
  const pairs: [string, string][] = [
    ['gateway', context.url],
    ['e-mail', user.email ?? ''],
    ['role', user.role ?? ''],
    ['tenant', user.tenant_id === undefined ? '' : String(user.tenant_id)],
    ['scopes', list(scopes)],
    ['reads', list(partitions?.read)],
    ['writes', list(partitions?.write)],
  ];
  for (const line of pairLines(
    paper,
    pairs.filter(([, value]) => value !== ''),
  ))
    context.print(line);
}
