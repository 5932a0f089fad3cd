import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Socket } from 'socket.io';
import { Server } from 'socket.io';
import type { ChatMessage, Presence } from '../../protocol/chat.ts';

/** A scripted gateway for the namespace `/`: one room, `general`. */
export interface FakeChat {
  url: string;
  messages: ChatMessage[];
  heard: { event: string; body: unknown }[];
  tokens: string[];
  faults: {
    /** Stores the message, then cuts the connection instead of acknowledging. */
    cutAfterStore?: () => boolean;
    /** Answers instead. */
    message?: () => unknown;
    /** Sends no broadcast of this message. */
    mute?: (message: ChatMessage) => boolean;
    authError?: (token: string) => string | undefined;
  };
  /** Somebody else writes. */
  post(body: string): void;
  say(event: string, body: unknown): void;
  disconnect(): void;
  close(): Promise<void>;
}

export async function startFakeChat(): Promise<FakeChat> {
  const http = createServer();
  const io = new Server(http, { transports: ['websocket'] });
  const byClientId = new Map<string, ChatMessage>();
  const presence: Presence = { principal: 'u1', kind: 'user', name: 'ana', status: 'online', since: '' };

  const store = (body: string, clientMessageId?: string): ChatMessage => {
    const known = byClientId.get(clientMessageId ?? '');
    if (known) return known;
    const seq = fake.messages.length + 1;
    const base = { id: `m${seq}`, room: 'general', seq, from: { id: 'u1', username: 'ana' }, body, at: '' };
    const message = clientMessageId === undefined ? base : { ...base, clientMessageId };
    fake.messages.push(message);
    if (clientMessageId !== undefined) byClientId.set(clientMessageId, message);
    if (fake.faults.mute?.(message) !== true) io.emit('message', message);
    return message;
  };
  const rooms = (): unknown => [
    { room: 'general', title: 'General', member: true, lastSeq: fake.messages.length, readSeq: 0 },
  ];
  const history = ({ before = Infinity, limit = 3 }: { before?: number; limit?: number }): unknown => {
    const found = fake.messages.filter((one) => one.seq < before).slice(-Math.min(limit, 3));
    return { ok: true, messages: found, more: (found[0]?.seq ?? 1) > 1 };
  };
  const answers: Record<string, (body: never) => unknown> = {
    'room:list': () => ({ ok: true, rooms: rooms() }),
    'status:list': () => ({ ok: true, presence: [presence] }),
    'room:history': history,
  };
  const serve = (socket: Socket): void => {
    const { token = '' } = socket.handshake.auth as { token?: string };
    fake.tokens.push(token);
    const code = fake.faults.authError?.(token);
    if (code !== undefined) {
      socket.emit('auth_error', { code, message: code });
      return;
    }
    socket.emit('auth_success', { message: 'hello', user: { id: 'u1', username: 'ana' } });
    socket.on(
      'message',
      ({ body, clientMessageId }: Record<string, string>, ack: (answer: unknown) => void) => {
        const scripted = fake.faults.message?.();
        if (scripted !== undefined) {
          ack(scripted);
          return;
        }
        const { id, seq, at } = store(body ?? '', clientMessageId);
        if (fake.faults.cutAfterStore?.() === true) socket.disconnect(true);
        else ack({ ok: true, id, seq, at });
      },
    );
    socket.onAny((event: string, body: unknown, ack?: (answer: unknown) => void) => {
      if (event === 'message') return;
      fake.heard.push({ event, body });
      ack?.(answers[event]?.(body as never) ?? { ok: true });
    });
  };
  const fake: FakeChat = {
    url: '',
    messages: [],
    heard: [],
    tokens: [],
    faults: {},
    post: (body) => void store(body),
    say: (event, body) => void io.emit(event, body),
    disconnect: () => io.disconnectSockets(true),
    close: () => io.close(),
  };
  io.on('connection', serve);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  fake.url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  return fake;
}
