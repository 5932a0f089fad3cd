import type { Context } from '../context.ts';
import { runShell } from './shell.ts';
import { signIn } from './sign-in.ts';

/** The interactive session: logs in or signs up where needed, then runs the shell until it is left. */
export async function startInteractive(context: Context, { room }: { room?: string } = {}): Promise<void> {
  const user = (await context.session.restore()) ?? (await signIn(context));
  if (user) await runShell(context, { user, room: room ?? 'general' });
}
