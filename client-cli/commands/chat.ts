import type { Command } from 'commander';
import type { ChatMessage } from '../../sdk/index.ts';
import { onNewState, openChat, requireLogin, whenLive, withChat } from '../connected.ts';
import type { Context } from '../context.ts';
import { fromCode } from '../failure.ts';
import { startInteractive } from '../interactive/start.ts';
import { parseCount } from '../options.ts';
import type { AddCommands } from '../program.ts';
import type { Paper } from '../render.ts';
import { messageLines, roomTable, stateLine } from '../render.ts';
import { namedRoom } from '../room-name.ts';
import { clean } from '../terminal-text.ts';

export const DEFAULT_ROOM = 'general';
const HISTORY = 20;

export const addChatCommands: AddCommands = (parent: Command, bind) => {
  const chat = parent
    .command('chat')
    .argument('[room]', 'left out: general')
    .description('talk in a room; without a terminal: print its messages as they come')
    .action(bind((context, room: string | undefined) => talk(context, room ?? DEFAULT_ROOM)));
  chat
    .command('send')
    .argument('<room>')
    .argument('<text...>')
    .description('send one message')
    .action(bind(send));
  chat
    .command('history')
    .argument('<room>')
    .description('print the newest messages')
    .option('--limit <n>', `messages at most, up to 200; left out: ${HISTORY}`, parseCount)
    .option('--before <seq>', 'only messages older than this number', parseCount)
    .action(bind(history));
  parent
    .command('rooms')
    .description('list the rooms')
    .action(bind((context) => rooms(context)));
  addRoomCommands(parent, bind);
};

const addRoomCommands: AddCommands = (parent, bind) => {
  const room = parent.command('room').description('create, join or leave a room');
  room
    .command('create')
    .argument('<room>')
    .argument('[title...]')
    .description('create a room and join it')
    .action(bind(createRoom));
  room.command('join').argument('<room>').description('join a room').action(bind(joinRoom));
  room.command('leave').argument('<room>').description('leave a room').action(bind(leaveRoom));
};

/** On a terminal the interactive session in that room; elsewhere its messages, history first, until interrupted. */
export async function talk(context: Context, room: string): Promise<void> {
  if (!context.json && context.input.isTTY && context.output.isTTY) await startInteractive(context, { room });
  else await follow(context, room);
}

export function send(context: Context, room: string, words: readonly string[]): Promise<void> {
  return withChat(context, async (chat) => {
    const sent = await chat.send(room, words.join(' '));
    if (context.json) context.emit({ room, ...sent });
    else context.print(`Sent to #${clean(room)} as message ${sent.seq}.`);
  });
}

export function history(
  context: Context,
  room: string,
  options: { limit?: number; before?: number },
): Promise<void> {
  const { limit = HISTORY, before } = options;
  return withChat(context, async (chat) => {
    const page = await chat.history(room, {
      limit: Math.min(limit, 200),
      ...(before === undefined ? {} : { before }),
    });
    if (context.json) context.emit({ room, ...page });
    else {
      const first = page.messages[0]?.seq;
      if (page.more && first !== undefined) context.remark(`Older ones: --before ${first}`);
      for (const message of page.messages) printMessage(context, message, room);
    }
  });
}

export function rooms(context: Context): Promise<void> {
  return withChat(context, async (chat) => {
    const list = await chat.listRooms();
    if (context.json) context.emit({ rooms: list });
    else for (const line of roomTable(paperOf(context), list)) context.print(line);
  });
}

export async function createRoom(context: Context, name: string, words: readonly string[]): Promise<void> {
  const { room, title } = namedRoom([name, ...words]);
  await withChat(context, async (chat) => {
    await chat.createRoom(room, ...(title === '' ? [] : [title]));
    told(context, { room, created: true }, `Created #${clean(room)}.`);
  });
}

export function joinRoom(context: Context, room: string): Promise<void> {
  return withChat(context, async (chat) => {
    await chat.join(room);
    told(context, { room, joined: true }, `You are in #${clean(room)}.`);
  });
}

export function leaveRoom(context: Context, room: string): Promise<void> {
  return withChat(context, async (chat) => {
    await chat.leave(room);
    told(context, { room, left: true }, `You have left #${clean(room)}.`);
  });
}

/** Messages of one room, each once, until the signal. */
async function follow(context: Context, room: string): Promise<void> {
  await requireLogin(context);
  const chat = openChat(context);
  let last = 0;
  let ready = false;
  const waiting: ChatMessage[] = [];
  const show = (message: ChatMessage): void => {
    if (message.room !== room || message.seq <= last) return;
    last = message.seq;
    if (context.json) context.emit({ type: 'message', ...message });
    else printMessage(context, message, room);
  };
  try {
    const refused = new Promise<void>((resolve, reject) => {
      chat.on('message', (message) => (ready ? show(message) : waiting.push(message)));
      onNewState(chat, (state) => {
        const line = stateLine(context.theme, state);
        if (line !== undefined) context.remark(line);
        if (state.name === 'refused') reject(fromCode(state.code, state.message ?? state.code));
      });
      context.signal.addEventListener('abort', () => resolve());
    });
    refused.catch(() => undefined);
    const live = whenLive(chat, context.signal);
    chat.start();
    await live;
    const { messages } = await chat.history(room, { limit: HISTORY });
    for (const message of [...messages, ...waiting]) show(message);
    ready = true;
    await refused;
  } finally {
    await chat.close();
  }
}

function printMessage(context: Context, message: ChatMessage, room: string): void {
  for (const line of messageLines(paperOf(context), message, room)) context.print(line);
}

function told(context: Context, value: unknown, sentence: string): void {
  if (context.json) context.emit(value);
  else context.print(sentence);
}

function paperOf(context: Context): Paper {
  return { theme: context.theme, columns: context.output.isTTY ? context.output.columns : undefined };
}
