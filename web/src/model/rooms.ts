import { v4 as uuidv4 } from 'uuid';
import type { ChatClient, ChatMessage, Room } from '../../../sdk/index.ts';
import { createSignal, type Signal } from './signal.ts';
import type { WaitingMessage, WaitingMessages } from './waiting-messages.ts';

export interface PendingMessage {
  clientMessageId: string;
  body: string;
  state: 'sending' | 'failed';
  error?: unknown;
}

export interface Conversation {
  messages: readonly ChatMessage[];
  pending: readonly PendingMessage[];
  /** Older messages exist that were not read yet. */
  more: boolean;
  loading: boolean;
  error?: unknown;
}

export interface RoomSummary extends Room {
  unread: number;
}

/** What the chat pages draw from: rooms with their unread counts, and each opened room's messages. */
export interface Rooms {
  signal: Signal;
  list: () => readonly RoomSummary[];
  unread: () => number;
  conversation: (room: string) => Conversation;
  loadOlder: (room: string) => Promise<void>;
  send: (room: string, body: string, clientMessageId?: string) => Promise<void>;
  /** Gives up a message that was refused. */
  discard: (room: string, clientMessageId: string) => void;
  /** Messages that have not been sent. */
  waiting: () => number;
  /** Marks everything that is here as read. */
  read: (room: string) => void;
  close: () => void;
}

const PAGE = 50;
const EMPTY: Conversation = { messages: [], pending: [], more: true, loading: false };

export interface RoomsDeps {
  client: ChatClient;
  waiting: WaitingMessages;
}

/** Takes up what was written and not sent before. */
export async function createRooms({ client, waiting }: RoomsDeps): Promise<Rooms> {
  const rooms = new LiveRooms(client, waiting);
  const left = await waiting.all().catch(() => []);
  for (const message of left) void rooms.transmit(message);
  return rooms;
}

class LiveRooms implements Rooms {
  readonly signal = createSignal();
  readonly #client: ChatClient;
  readonly #waiting: WaitingMessages;
  readonly #conversations = new Map<string, Conversation>();
  /** Highest seq seen and read here: the client's list of rooms may be older. */
  readonly #seen = new Map<string, number>();
  readonly #read = new Map<string, number>();
  readonly #unlisten: (() => void)[];

  constructor(client: ChatClient, waiting: WaitingMessages) {
    this.#client = client;
    this.#waiting = waiting;
    this.#unlisten = [
      client.on('message', (message) => this.#receive(message)),
      client.on('rooms', () => this.signal.touch()),
    ];
  }

  list(): RoomSummary[] {
    return this.#client.rooms.map((room) => this.#summarise(room));
  }

  unread(): number {
    return this.list().reduce((sum, room) => sum + room.unread, 0);
  }

  conversation(room: string): Conversation {
    return this.#conversations.get(room) ?? EMPTY;
  }

  async loadOlder(room: string): Promise<void> {
    const { loading, more, messages } = this.conversation(room);
    if (loading || !more) return;
    this.#update(room, { loading: true, error: undefined });
    try {
      const first = messages[0];
      const before = first === undefined ? {} : { before: first.seq };
      const page = await this.#client.history(room, { limit: PAGE, ...before });
      raise(this.#seen, room, page.messages.at(-1)?.seq ?? 0);
      const merged = merge(this.conversation(room).messages, page.messages);
      this.#update(room, { messages: merged, more: page.more, loading: false });
    } catch (error) {
      this.#update(room, { loading: false, error });
    }
  }

  async send(room: string, body: string, clientMessageId: string = uuidv4()): Promise<void> {
    const message = { clientMessageId, room, body };
    // Before it is shown: what is seen to wait is kept. Where it cannot be, it waits for as long as the page is open.
    await this.#waiting.keep(message).catch(() => undefined);
    await this.transmit(message);
  }

  async transmit({ clientMessageId, room, body }: WaitingMessage): Promise<void> {
    const others = this.#pendingBut(room, clientMessageId);
    this.#update(room, { pending: [...others, { clientMessageId, body, state: 'sending' }] });
    try {
      await this.#client.send(room, body, { clientMessageId });
      this.#drop(clientMessageId);
    } catch (error) {
      const failed: PendingMessage = { clientMessageId, body, state: 'failed', error };
      this.#update(room, { pending: [...this.#pendingBut(room, clientMessageId), failed] });
    }
  }

  discard(room: string, clientMessageId: string): void {
    this.#drop(clientMessageId);
    this.#update(room, { pending: this.#pendingBut(room, clientMessageId) });
  }

  waiting(): number {
    return [...this.#conversations.values()].reduce((sum, { pending }) => sum + pending.length, 0);
  }

  read(room: string): void {
    const last = this.conversation(room).messages.at(-1)?.seq ?? 0;
    const known = this.#client.rooms.find((one) => one.room === room)?.readSeq ?? 0;
    if (last <= Math.max(known, this.#read.get(room) ?? 0)) return;
    raise(this.#read, room, last);
    this.signal.touch();
    // A read mark that gets lost is set again by the next one.
    this.#client.read(room, last).catch(() => undefined);
  }

  close(): void {
    for (const stop of this.#unlisten) stop();
    this.#waiting.close();
  }

  #receive(message: ChatMessage): void {
    const { room, seq, clientMessageId } = message;
    raise(this.#seen, room, seq);
    if (clientMessageId !== undefined) this.#drop(clientMessageId);
    const messages = merge(this.conversation(room).messages, [message]);
    this.#update(room, { messages, pending: this.#pendingBut(room, clientMessageId) });
  }

  /** One that stays by mistake is sent once more after a reload, and known by its id. */
  #drop(clientMessageId: string): void {
    this.#waiting.drop(clientMessageId).catch(() => undefined);
  }

  #pendingBut(room: string, clientMessageId: string | undefined): readonly PendingMessage[] {
    const { pending } = this.conversation(room);
    const found = pending.some((one) => one.clientMessageId === clientMessageId);
    return found ? pending.filter((one) => one.clientMessageId !== clientMessageId) : pending;
  }

  #update(room: string, part: Partial<Conversation>): void {
    this.#conversations.set(room, { ...this.conversation(room), ...part });
    this.signal.touch();
  }

  #summarise(room: Room): RoomSummary {
    const lastSeq = Math.max(room.lastSeq, this.#seen.get(room.room) ?? 0);
    const readSeq = Math.max(room.readSeq, this.#read.get(room.room) ?? 0);
    return { ...room, lastSeq, readSeq, unread: room.member ? Math.max(0, lastSeq - readSeq) : 0 };
  }
}

function raise(marks: Map<string, number>, room: string, seq: number): void {
  marks.set(room, Math.max(marks.get(room) ?? 0, seq));
}

/** Merges by seq: history and live messages overlap. */
function merge(messages: readonly ChatMessage[], more: readonly ChatMessage[]): ChatMessage[] {
  const first = more[0];
  const last = messages.at(-1);
  if (first && last && more.length === 1 && first.seq > last.seq) return [...messages, first];
  const bySeq = new Map([...messages, ...more].map((message) => [message.seq, message]));
  return [...bySeq.values()].sort((a, b) => a.seq - b.seq);
}
