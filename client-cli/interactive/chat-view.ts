import type { ChatClient, ChatMessage, Presence } from '../../sdk/index.ts';
import type { Context } from '../context.ts';
import { CliError, EXIT } from '../failure.ts';
import type { Paper } from '../render.ts';
import { hereText, messageLines, presenceLine } from '../render.ts';
import { roomHead, waitingLine } from '../render-shell.ts';
import type { Screen } from './screen.ts';

export interface ViewDeps {
  context: Context;
  screen: Screen;
  paper: Paper;
  /** Draws the prompt anew. */
  refresh: () => void;
}

/** One room on the screen: its history, its messages, who is here and who is typing. */
export interface ChatView {
  /** The room that text goes to; undefined: none yet. */
  readonly room: string | undefined;
  /** Who is typing there. */
  readonly typing: readonly string[];
  /** Joins where needed and shows the newest messages. */
  enter(room: string): Promise<void>;
  leave(): Promise<void>;
  /** Sends a message; `entered` is the line as it stands on the screen. */
  send(text: string, entered: string): Promise<void>;
  /** Tells the room that something is being typed. */
  typed(line: string): void;
}

const TYPING_SHOWN_MS = 4_000;
const TYPING_SENT_MS = 3_000;
/** Rows that the head, the prompt and a margin take. */
const OTHER_ROWS = 6;

export function createChatView(deps: ViewDeps & { chat: ChatClient }): ChatView {
  return new RoomView(deps);
}

class RoomView implements ChatView {
  readonly #deps: ViewDeps & { chat: ChatClient };
  /** The highest seq shown of each room: history and live messages overlap. */
  readonly #shown = new Map<string, number>();
  readonly #statuses = new Map<string, string>();
  readonly #typing = new Map<string, () => void>();
  #room: string | undefined;
  #typingSentAt = -Infinity;

  constructor(deps: ViewDeps & { chat: ChatClient }) {
    this.#deps = deps;
    const { chat } = deps;
    for (const one of chat.presence.values()) this.#statuses.set(one.principal, statusOf(one));
    chat.on('message', (message) => this.#hear(message));
    chat.on('presence', (one) => this.#see(one));
    chat.on('typing', ({ room, from }) => {
      if (room === this.#room && from.id !== deps.context.session.user?.id) this.#markTyping(from.username);
    });
  }

  get room(): string | undefined {
    return this.#room;
  }

  get typing(): readonly string[] {
    return [...this.#typing.keys()];
  }

  async enter(room: string): Promise<void> {
    const { chat, screen, paper, context } = this.#deps;
    const known = (await chat.listRooms()).find((one) => one.room === room);
    if (known?.member !== true) await chat.join(room);
    const rows = Math.max(5, screen.rows - OTHER_ROWS);
    const { messages } = await chat.history(room, { limit: Math.min(rows, 100) });
    this.#room = room;
    this.#clearTyping();
    const title = known?.title ?? '';
    const here = hereText(chat.presence.values());
    screen.say(...roomHead(context.theme, { room, title, here, empty: messages.length === 0 }));
    screen.say(
      ...newest(
        messages.map((message) => messageLines(paper, message, room)),
        rows,
      ),
    );
    const last = messages.at(-1)?.seq ?? 0;
    this.#shown.set(room, Math.max(last, this.#shown.get(room) ?? 0));
    this.#read(room, last);
    this.#deps.refresh();
  }

  async leave(): Promise<void> {
    const room = this.#requireRoom();
    await this.#deps.chat.leave(room);
    this.#room = undefined;
    this.#clearTyping();
  }

  async send(text: string, entered: string): Promise<void> {
    const { chat, screen, context } = this.#deps;
    const room = this.#requireRoom();
    screen.eraseEntered(entered);
    this.#typingSentAt = -Infinity;
    if (chat.state.name !== 'live') screen.say(waitingLine(context.theme, text));
    else this.#deps.refresh();
    await chat.send(room, text);
  }

  typed(line: string): void {
    const { chat, context } = this.#deps;
    if (this.#room === undefined || line === '' || line.startsWith('/')) return;
    const now = context.clock.now();
    if (now - this.#typingSentAt < TYPING_SENT_MS) return;
    this.#typingSentAt = now;
    chat.typing(this.#room);
  }

  #hear(message: ChatMessage): void {
    const { room, seq, from } = message;
    if (seq <= (this.#shown.get(room) ?? 0)) return;
    this.#shown.set(room, seq);
    this.#typing.get(from.username)?.();
    this.#deps.screen.say(...messageLines(this.#deps.paper, message, this.#room));
    if (room === this.#room) this.#read(room, seq);
  }

  /** Says it when a person's status is another one; agents are in /status. */
  #see(one: Presence): void {
    const status = statusOf(one);
    const before = this.#statuses.get(one.principal);
    this.#statuses.set(one.principal, status);
    const { context, screen } = this.#deps;
    const own = one.principal === context.session.user?.id;
    if (before !== status && one.kind === 'user' && !own) screen.say(presenceLine(context.theme, one));
  }

  #markTyping(name: string): void {
    const { context, refresh } = this.#deps;
    this.#typing.get(name)?.();
    const stop = context.clock.after(TYPING_SHOWN_MS, () => forget());
    const forget = (): void => {
      stop();
      this.#typing.delete(name);
      refresh();
    };
    this.#typing.set(name, forget);
    refresh();
  }

  #clearTyping(): void {
    for (const forget of [...this.#typing.values()]) forget();
  }

  #read(room: string, seq: number): void {
    // A mark that is lost is made good by the next one.
    if (seq > 0) this.#deps.chat.read(room, seq).catch(() => undefined);
  }

  #requireRoom(): string {
    if (this.#room !== undefined) return this.#room;
    throw new CliError(
      EXIT.failed,
      'no_room',
      'You are in no room: /rooms lists them, /chat <room> enters one.',
    );
  }
}

/** As many of the last messages as fit, whole ones. */
function newest(messages: readonly string[][], rows: number): string[] {
  let shown: string[] = [];
  for (const lines of [...messages].reverse()) {
    if (shown.length + lines.length > rows) break;
    shown = [...lines, ...shown];
  }
  return shown;
}

function statusOf({ status, text = '' }: Presence): string {
  return `${status} ${text}`;
}
