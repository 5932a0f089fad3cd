import { intro, isCancel, log, outro, select } from '@clack/prompts';
import type { SessionUser } from '../../sdk/index.ts';
import type { Context } from '../context.ts';
import { deviceLines, loginByDevice } from '../device-login.ts';
import { toFailure } from '../failure.ts';
import { faultLine } from '../render.ts';
import { loginByPassword } from '../password-login.ts';
import { passwordOf, streams, textOf } from '../prompts.ts';
import { clean } from '../terminal-text.ts';

type Choice = 'login' | 'device' | 'signup' | 'verify' | 'quit';

const OPTIONS: { value: Choice; label: string; hint: string }[] = [
  { value: 'login', label: 'Log in', hint: 'I have an account' },
  { value: 'signup', label: 'Sign up', hint: 'a code comes by mail' },
  { value: 'verify', label: 'Enter a code', hint: 'from the mail' },
  { value: 'device', label: 'Log in in the browser', hint: 'no password is typed here' },
  { value: 'quit', label: 'Quit', hint: 'Ctrl-C' },
];

/** Asks until somebody is logged in; undefined: left. */
export async function signIn(context: Context): Promise<SessionUser | undefined> {
  const { output } = streams(context);
  intro(`Sluice at ${context.url}`, { output });
  let next: Choice = 'login';
  for (;;) {
    const choice = await choose(context, next);
    if (choice === 'quit') {
      outro('Goodbye.', { output });
      return undefined;
    }
    try {
      const user = await STEPS[choice](context);
      if (user) {
        log.success(`Logged in as ${clean(user.username)}.`, { output });
        return user;
      }
      next = choice === 'signup' ? 'verify' : 'login';
    } catch (error) {
      if (context.signal.aborted) return undefined;
      const failure = toFailure(error);
      // Nobody there: asking again would not help.
      if (failure.code === 'unreachable') throw failure;
      const lines = [clean(failure.message), ...failure.faults.map(faultLine)];
      if (failure.code !== 'cancelled') log.error(lines.join('\n'), { output });
      next = failure.code === 'email_not_verified' ? 'verify' : choice;
    }
  }
}

const STEPS: Record<Exclude<Choice, 'quit'>, (context: Context) => Promise<SessionUser | undefined>> = {
  async login(context) {
    const name = await ask(context, 'Username or e-mail address');
    const password = await passwordOf(context, { fromStdin: false });
    return loginByPassword(context, { name, password });
  },
  device(context) {
    const { output } = streams(context);
    return loginByDevice(context, {
      show: (codes) => log.info(deviceLines(context, codes).join('\n'), { output }),
    });
  },
  async signup(context) {
    const username = await ask(context, 'Username');
    const email = await ask(context, 'E-mail address');
    const password = await passwordOf(context, { fromStdin: false, repeat: true });
    const { message } = await context.session.signup({ username, email, password });
    log.info(clean(message), { output: streams(context).output });
    return undefined;
  },
  async verify(context) {
    const username = await ask(context, 'Username');
    const code = await ask(context, 'Code from the mail');
    const { message } = await context.session.verifyEmail({ username, code });
    log.success(clean(message), { output: streams(context).output });
    return undefined;
  },
};

async function choose(context: Context, initialValue: Choice): Promise<Choice> {
  const choice = await select<Choice>({
    message: 'You are not logged in.',
    options: OPTIONS,
    initialValue,
    ...streams(context),
  });
  return isCancel(choice) ? 'quit' : choice;
}

function ask(context: Context, message: string): Promise<string> {
  return textOf(context, undefined, { message, option: '' });
}
