import { randomUUID } from 'node:crypto';
import type { Namespace, Socket } from 'socket.io';
import type { ChatMessage, Presence } from '../../../protocol/chat.ts';
import type { People, Person } from './people.ts';

interface Author {
  id: string;
  username: string;
}

interface FakeRoom {
  title: string;
  members: Set<string>;
  messages: ChatMessage[];
  read: Map<string, number>;
}

type Ack = (answer: unknown) => void;
type Body = Record<string, unknown>;

/** Rooms and presence in memory. */
export function createChat(namespace: Namespace, people: People) {
  const rooms = new Map<string, FakeRoom>();
  const presence = new Map<string, Presence>();
  const open = (name: string, title: string): FakeRoom => {
    const room: FakeRoom = { title, members: new Set(), messages: [], read: new Map() };
    rooms.set(name, room);
    return room;
  };
  open('general', 'General');

  function say(name: string, from: Author, body: string, clientMessageId?: string): ChatMessage {
    const room = rooms.get(name) ?? open(name, name);
    const known = room.messages.find((one) => one.clientMessageId === clientMessageId);
    if (known && clientMessageId !== undefined) return known;
    const message: ChatMessage = {
      id: randomUUID(),
      room: name,
      seq: room.messages.length + 1,
      from,
      body,
      at: new Date().toISOString(),
      ...(clientMessageId === undefined ? {} : { clientMessageId }),
    };
    room.messages.push(message);
    namespace.to(`room:${name}`).emit('message', message);
    return message;
  }

  function show(entry: Presence): void {
    presence.set(entry.principal, entry);
    namespace.emit('presence', entry);
  }

  namespace.on('connection', (socket: Socket) => {
    const session = people.sessionOf(String(socket.handshake.auth['token']));
    const person = session?.person;
    if (!session || !person) {
      socket.emit('auth_error', { code: 'invalid_token', message: 'no' });
      socket.disconnect(true);
      return;
    }
    void socket.join([`user:${person.id}`, `session:${session.id}`]);
    rooms.get('general')?.members.add(person.id);
    for (const [name, room] of rooms) if (room.members.has(person.id)) void socket.join(`room:${name}`);
    socket.emit('auth_success', { message: 'welcome', user: toAuthor(person) });
    show(toPresence(person, 'online'));
    const handlers = createHandlers({ rooms, presence, open, say, show, namespace }, socket, person);
    for (const [event, handler] of Object.entries(handlers))
      socket.on(event, (body: Body, ack?: Ack) => ack?.(handler(body)) ?? (ack ? undefined : handler(body)));
    socket.on('disconnect', () => show(toPresence(person, 'offline')));
  });

  function showAgent(name: string): void {
    if (presence.has(name)) return;
    const since = new Date().toISOString();
    show({ principal: name, kind: 'client', name, status: 'online', since, queue: 0, lag: 0 });
  }

  return { say, showAgent };
}

interface Deps {
  rooms: Map<string, FakeRoom>;
  presence: Map<string, Presence>;
  open: (name: string, title: string) => FakeRoom;
  say: (name: string, from: Author, body: string, clientMessageId?: string) => ChatMessage;
  show: (entry: Presence) => void;
  namespace: Namespace;
}

function createHandlers(deps: Deps, socket: Socket, person: Person): Record<string, (body: Body) => unknown> {
  const { rooms, presence, open, say, show, namespace } = deps;
  const nameOf = ({ room }: Body): string => String(room);
  const join = (name: string): void => {
    rooms.get(name)?.members.add(person.id);
    void socket.join(`room:${name}`);
    namespace.emit('room:changed', { room: name });
  };
  return {
    'room:list': () => ({
      ok: true,
      rooms: [...rooms].map(([room, { title, members, messages, read }]) => ({
        room,
        title,
        member: members.has(person.id),
        lastSeq: messages.length,
        readSeq: read.get(person.id) ?? 0,
      })),
    }),
    'status:list': () => ({ ok: true, presence: [...presence.values()] }),
    'room:create': (body) => {
      open(nameOf(body), String(body['title'] ?? body['room']));
      join(nameOf(body));
      return { ok: true };
    },
    'room:join': (body) => {
      join(nameOf(body));
      return { ok: true };
    },
    'room:history': (body) => {
      const all = rooms.get(nameOf(body))?.messages ?? [];
      const end = typeof body['before'] === 'number' ? body['before'] - 1 : all.length;
      const start = Math.max(0, end - Number(body['limit'] ?? 50));
      return { ok: true, messages: all.slice(start, end), more: start > 0 };
    },
    message: (body) => {
      const text = String(body['body']);
      if (text === '/refuse')
        return { ok: false, error: { code: 'forbidden', message: 'no', retry: 'never' } };
      const { id, seq, at } = say(nameOf(body), toAuthor(person), text, String(body['clientMessageId']));
      return { ok: true, id, seq, at };
    },
    typing: (body) =>
      void socket.to(`room:${nameOf(body)}`).emit('typing', { room: nameOf(body), from: toAuthor(person) }),
    read: (body) => {
      rooms.get(nameOf(body))?.read.set(person.id, Number(body['seq']));
      return { ok: true };
    },
    'status:set': (body) => {
      show({
        ...toPresence(person, body['status'] as Presence['status']),
        text: typeof body['text'] === 'string' ? body['text'] : '',
      });
      return { ok: true };
    },
  };
}

const toAuthor = ({ id, username }: Person): Author => ({ id, username });
const toPresence = ({ id, username }: Person, status: Presence['status']): Presence => ({
  principal: id,
  kind: 'user',
  name: username,
  status,
  since: new Date().toISOString(),
});
