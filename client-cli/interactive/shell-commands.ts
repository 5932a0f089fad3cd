import type { ChatClient } from '../../sdk/index.ts';
import { parseStatus, STATUSES } from '../commands/status.ts';
import { DEFAULT_COLLECTIONS } from '../commands/watch.ts';
import type { Context } from '../context.ts';
import type { CliError } from '../failure.ts';
import { usageError } from '../failure.ts';
import type { Paper } from '../render.ts';
import { hereText, presenceTable, roomTable } from '../render.ts';
import { namedRoom } from '../room-name.ts';
import { shellHelp } from '../render-shell.ts';
import type { ChatView } from './chat-view.ts';
import type { LiveView } from './live-view.ts';
import type { Screen } from './screen.ts';

/** What the shell's commands work with. */
export interface Shell {
  context: Context;
  chat: ChatClient;
  screen: Screen;
  paper: Paper;
  chatView: ChatView;
  liveView: LiveView;
  /** Why it ended, if the gateway ended it. */
  ended: CliError | undefined;
}

export interface ShellCommand {
  name: string;
  usage: string;
  summary: string;
  run: (shell: Shell, words: string[]) => Promise<void> | void;
  /** What the first argument can be. */
  complete?: (shell: Shell) => string[];
}

const COLLECTIONS = ['fatura', 'stoku', 'porosia', 'branches', 'assets', 'settings'];

/** The one list that /help, completion and dispatch are made from. */
export const SHELL_COMMANDS: readonly ShellCommand[] = [
  {
    name: '/watch',
    usage: '/watch [collection… | off]',
    summary: 'show changes as they happen, or stop',
    run: watch,
    complete: () => [...COLLECTIONS, 'off'],
  },
  {
    name: '/chat',
    usage: '/chat [room]',
    summary: 'go to a room; text you type goes there',
    run: (shell, [room = 'general']) => shell.chatView.enter(nameOf(room)),
    complete: roomsOf,
  },
  {
    name: '/rooms',
    usage: '/rooms',
    summary: 'list the rooms',
    run: async ({ chat, screen, paper }) => screen.say(...roomTable(paper, await chat.listRooms())),
  },
  {
    name: '/create',
    usage: '/create <room> [title]',
    summary: 'make a room and go there',
    run: create,
  },
  {
    name: '/leave',
    usage: '/leave',
    summary: 'leave this room for good',
    run: (shell) => shell.chatView.leave(),
  },
  {
    name: '/who',
    usage: '/who',
    summary: 'who is here',
    run: ({ chat, screen }) =>
      screen.say(
        `${chat.state.name === 'live' ? 'here' : 'not connected; last here'}: ${hereText(chat.presence.values())}`,
      ),
  },
  {
    name: '/status',
    usage: '/status [online|away|busy] [text]',
    summary: 'people and branches; or set yours',
    run: status,
    complete: () => [...STATUSES],
  },
  { name: '/help', usage: '/help', summary: 'this list', run: help },
  { name: '/quit', usage: '/quit', summary: 'leave (Ctrl-C too)', run: ({ screen }) => screen.close() },
];

/** Runs `/name argument…`. Throws CliError when there is no such command. */
export async function runShellCommand(shell: Shell, text: string): Promise<void> {
  const [name = '', ...words] = text.split(/\s+/);
  const exact = SHELL_COMMANDS.find((one) => one.name === name);
  // The beginning of a name will do while it can only mean one.
  const close = SHELL_COMMANDS.filter((one) => one.name.startsWith(name));
  const command = exact ?? (close.length === 1 ? close[0] : undefined);
  if (!command && close.length > 1) {
    const names = close.map((one) => one.name).join(' or ');
    throw usageError(`${name} is ${names}: write one more letter.`);
  }
  if (!command) throw usageError(`There is no command ${name}: /help lists them.`);
  await command.run(shell, words);
}

/** Completion for readline: the matches, and what they complete. */
export function completeLine(shell: Shell, line: string): [string[], string] {
  if (!line.startsWith('/')) return [[], line];
  const space = line.search(/\s/);
  if (space < 0) {
    const names = SHELL_COMMANDS.map((one) => one.name).filter((name) => name.startsWith(line));
    return [names.map((name) => `${name} `), line];
  }
  const command = SHELL_COMMANDS.find((one) => one.name === line.slice(0, space));
  const word = /\S*$/.exec(line)?.[0] ?? '';
  const matches = (command?.complete?.(shell) ?? []).filter((one) => one.startsWith(word));
  return [matches, word];
}

async function watch(shell: Shell, words: string[]): Promise<void> {
  const { liveView, screen } = shell;
  const off = words[0] === 'off' || (words.length === 0 && liveView.watching.length > 0);
  if (off) {
    await liveView.stop();
    screen.say('Not watching any more.');
  } else await liveView.watch(words.length === 0 ? DEFAULT_COLLECTIONS : words);
}

async function create(shell: Shell, words: string[]): Promise<void> {
  if (words.length === 0) throw usageError('Which room? /create <room> [title]');
  const { room, title } = namedRoom(words);
  await shell.chat.createRoom(room, ...(title === '' ? [] : [title]));
  await shell.chatView.enter(room);
}

async function status({ chat, screen, paper }: Shell, [word, ...words]: string[]): Promise<void> {
  if (word === undefined) {
    if (chat.state.name !== 'live') screen.say('○ not connected: this is how it was last');
    screen.say(...presenceTable(paper, [...chat.presence.values()]));
  } else {
    const text = words.join(' ');
    await chat.setStatus(parseStatus(word), ...(text === '' ? [] : [text]));
    screen.say(`You are ${word}${text === '' ? '' : `: ${text}`}.`);
  }
}

function help({ screen, context }: Shell): void {
  screen.say(...shellHelp(context.theme, SHELL_COMMANDS));
}

function roomsOf({ chat }: Shell): string[] {
  return chat.rooms.map(({ room }) => room);
}

/** `#sales` and `sales` are the same room. */
function nameOf(room: string): string {
  return room.replace(/^#/, '');
}
