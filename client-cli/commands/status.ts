import type { Command } from 'commander';
import { withChat } from '../connected.ts';
import type { Context } from '../context.ts';
import { usageError } from '../failure.ts';
import type { AddCommands } from '../program.ts';
import { presenceTable } from '../render.ts';

export const STATUSES = ['online', 'away', 'busy'] as const;
export type SettableStatus = (typeof STATUSES)[number];

export const addStatusCommands: AddCommands = (parent: Command, bind) => {
  const group = parent
    .command('status')
    .description('people and branches: their status, queue, lag, and what was refused and waits there')
    .action(bind((context) => status(context)));
  group
    .command('set')
    .argument('<status>', STATUSES.join(' | '))
    .argument('[text...]', 'a few words beside it')
    .description('say how you are')
    .action(bind(setStatus));
};

/** Everyone whose status may be seen. */
export function status(context: Context): Promise<void> {
  return withChat(context, (chat) => {
    const presence = [...chat.presence.values()];
    if (context.json) context.emit({ presence });
    else {
      const columns = context.output.isTTY ? context.output.columns : undefined;
      const lines = presenceTable({ theme: context.theme, columns }, presence);
      for (const line of lines) context.print(line);
    }
    return Promise.resolve();
  });
}

export async function setStatus(context: Context, name: string, words: readonly string[]): Promise<void> {
  const chosen = parseStatus(name);
  const text = words.join(' ');
  await withChat(context, async (chat) => {
    await chat.setStatus(chosen, ...(text === '' ? [] : [text]));
    if (context.json) context.emit({ status: chosen, text });
    else context.print(`You are ${chosen}${text === '' ? '' : `: ${text}`}.`);
  });
}

export function parseStatus(name: string): SettableStatus {
  const found = STATUSES.find((one) => one === name);
  if (found === undefined) throw usageError(`A status is one of ${STATUSES.join(', ')}.`);
  return found;
}
