import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Socket } from 'socket.io';
import { Server } from 'socket.io';
import type { ChatMessage, Presence } from '../../protocol/chat.ts';
import type { Change, SnapshotRecord } from '../../protocol/sync.ts';
import { keysAnswer } from './fake-keys.ts';

/** A gateway reduced to what the terminal client meets: people, admin routes, chat, and /sync from a snapshot on. */
export interface FakeHouse {
  url: string;
  /** Every HTTP call: method, path, body, the admin key. */
  calls: { method: string; path: string; body: Record<string, unknown>; key: string | undefined }[];
  refreshes: number;
  /** Refresh tokens that came a second time: the real gateway would end the session. */
  reused: number;
  /** Milliseconds that a refresh takes. */
  refreshMs: number;
  accessSeconds: number;
  records: SnapshotRecord[];
  messages: ChatMessage[];
  presence: Presence[];
  statuses: unknown[];
  /** OAuth clients, besides the one that is always made. */
  otherClients: object[];
  /** Rooms as they were asked for. */
  created: unknown[];
  /** Of whoever is logged in. */
  scopes: string[];
  /** Connections: of chat, and of /sync those that have said hello. */
  sockets(): number;
  change(change: Partial<Change> & Pick<Change, 'collection' | 'id'>): void;
  /** Somebody else writes. */
  write(room: string, username: string, body: string): void;
  emit(event: string, body: unknown): void;
  cut(): void;
  refuseAll(): void;
  close(): Promise<void>;
}

export const PASSWORD = 'correct horse battery';
export const ADMIN_KEY = 'admin-key-of-the-fake-house';

export async function startFakeHouse(): Promise<FakeHouse> {
  const house = new House();
  await house.listen();
  return house;
}

type Answer = { status?: number; body: Record<string, unknown> };

class House implements FakeHouse {
  readonly #http = createServer((request, response) => void this.#serve(request, response));
  readonly #io = new Server(this.#http, { transports: ['websocket'] });
  readonly #access = new Set<string>();
  #refresh: string | undefined;
  readonly #spent = new Set<string>();
  #version = 1;
  url = '';
  calls: FakeHouse['calls'] = [];
  refreshes = 0;
  reused = 0;
  refreshMs = 0;
  accessSeconds = 900;
  records: SnapshotRecord[] = [];
  messages: ChatMessage[] = [];
  presence: Presence[] = [];
  statuses: unknown[] = [];
  otherClients: object[] = [];
  created: unknown[] = [];
  scopes = ['chat'];
  #rooms = new Map([['general', true]]);

  async listen(): Promise<void> {
    this.#io.of('/').on('connection', (socket) => this.#chat(socket));
    this.#io.of('/sync').use((socket, next) => next(this.#refusal(socket)));
    this.#io.of('/sync').on('connection', (socket) => this.#sync(socket));
    await new Promise<void>((resolve) => this.#http.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await this.#io.close();
  }

  sockets(): number {
    return this.#io.of('/').sockets.size + (this.#io.of('/sync').adapter.rooms.get('greeted')?.size ?? 0);
  }

  cut(): void {
    this.#io.of('/').disconnectSockets(true);
    this.#io.of('/sync').disconnectSockets(true);
  }

  refuseAll(): void {
    this.#access.clear();
    this.#refresh = undefined;
  }

  emit(event: string, body: unknown): void {
    this.#io.of('/').emit(event, body);
  }

  write(room: string, username: string, body: string): void {
    this.#post(room, { id: `u-${username}`, username }, body);
  }

  change(change: Partial<Change> & Pick<Change, 'collection' | 'id'>): void {
    const from = `e.${this.#version}`;
    const version = (this.#version += 1);
    const full: Change = {
      ...{ version, index: 0, op: 'put', partition: 'united-kingdom', recordVersion: version },
      ...{ at: '2026-11-20T12:04:31.000Z', by: { principal: 'agent' } },
      ...change,
    };
    this.#io
      .of('/sync')
      .to('greeted')
      .emit('sync:delta', { from, to: `e.${version}`, more: false, changes: [full] });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    const { method = '', url: path = '', headers } = request;
    const key = headers['x-api-key'] as string | undefined;
    this.calls.push({ method, path, body, key });
    const token = headers.authorization?.replace('Bearer ', '');
    const answer = path.startsWith('/api/v1/admin')
      ? this.#admin(method, path.replace('/api/v1/admin', ''), { body, key, token })
      : await this.#people(path, { body, token });
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer.body));
  }

  async #people(
    path: string,
    { body, token }: { body: Record<string, unknown>; token: string | undefined },
  ): Promise<Answer> {
    if (path === '/api/signup') return signupAnswer(body);
    if (path === '/api/verify-email')
      return body['code'] === '123456' ? { body: { message: 'Verified.' } } : refuse(400, 'invalid_code');
    if (path === '/api/resend-verification') return { body: { message: 'Sent.' } };
    if (path === '/api/login')
      return body['password'] === PASSWORD ? this.#tokens() : refuse(401, 'invalid_credentials');
    if (path === '/auth/refresh') return this.#rotate(body['refresh_token'] as string);
    if (token === undefined || !this.#access.has(token)) return refuse(401, 'invalid_token');
    if (path === '/auth/logout') this.refuseAll();
    if (path === '/auth/me')
      return { body: { user: { ...ANA, email: 'ana@example.org', role: 'member' }, scopes: this.scopes } };
    await Promise.resolve();
    return { body: { success: true } };
  }

  async #rotate(presented: string): Promise<Answer> {
    this.refreshes += 1;
    await new Promise((resolve) => setTimeout(resolve, this.refreshMs));
    if (this.#spent.has(presented)) this.reused += 1;
    if (presented !== this.#refresh) return refuse(401, 'invalid_token');
    return this.#tokens();
  }

  #tokens(): Answer {
    if (this.#refresh !== undefined) this.#spent.add(this.#refresh);
    const access = `access-${randomBytes(8).toString('hex')}`;
    this.#refresh = `refresh-${randomBytes(8).toString('hex')}`;
    this.#access.add(access);
    return {
      body: {
        access_token: access,
        expires_in: this.accessSeconds,
        refresh_token: this.#refresh,
        user: ANA,
      },
    };
  }

  #admin(
    method: string,
    path: string,
    {
      body,
      key,
      token,
    }: { body: Record<string, unknown>; key: string | undefined; token: string | undefined },
  ): Answer {
    const refusal = this.#adminRefusal(key, token);
    if (refusal) return refusal;
    if (path.startsWith('/keys') || path.startsWith('/clients')) return keysAnswer(method, path, body);
    if (path.startsWith('/users') && method === 'GET') return { body: { users: [PERSON], next: null } };
    if (path.startsWith('/users/')) return { body: { user: { ...PERSON, ...body } } };
    if (method === 'GET') return { body: { clients: [CLIENT, ...this.otherClients] } };
    if (path.includes('/secrets')) return { status: 201, body: { client_secret: 'second-secret' } };
    if (method === 'PATCH') return { body: { client: { ...CLIENT, ...body } } };
    return { status: 201, body: { client_id: CLIENT.client_id, client_secret: 'first-secret' } };
  }

  #adminRefusal(key: string | undefined, token = ''): Answer | undefined {
    if (key === ADMIN_KEY) return undefined;
    if (key !== undefined || !this.#access.has(token)) return refuse(401, 'unauthenticated');
    return this.scopes.includes('admin') ? undefined : refuse(403, 'forbidden');
  }

  #refusal(socket: Socket): Error | undefined {
    const { token = '' } = socket.handshake.auth as { token?: string };
    if (this.#access.has(token)) return undefined;
    return Object.assign(new Error('The token is not valid.'), { data: { code: 'invalid_token' } });
  }

  #sync(socket: Socket): void {
    socket.on('sync:hello', (body: { subscribe: { collection: string }[] }, ack: (a: unknown) => void) => {
      const names = body.subscribe.map((one) => one.collection);
      if (names.includes('secrets')) {
        ack({ ok: false, error: { code: 'forbidden', message: 'Not yours.', retry: 'never' } });
        return;
      }
      const [head, serverTime] = [this.#version, new Date().toISOString()];
      ack({ ok: true, epoch: 'e', head, lastSeq: 0, mode: 'snapshot', credits: 8, serverTime });
      const records = this.records.filter((record) => names.includes(record.collection));
      socket.emit('sync:snapshot', { page: 'p1', at: `e.${head}`, more: false, records });
      void socket.join('greeted');
    });
  }

  #chat(socket: Socket): void {
    const refusal = this.#refusal(socket);
    if (refusal) {
      socket.emit('auth_error', { code: 'invalid_token', message: refusal.message });
      return;
    }
    const on = (event: string, answer: (body: never) => object): void => {
      socket.on(event, (body: unknown, ack?: (reply: unknown) => void) => {
        ack?.({ ok: true, ...answer(body as never) });
      });
    };
    on('room:list', () => ({ rooms: this.#roomList() }));
    on('status:list', () => ({ presence: this.presence }));
    on('room:history', ({ room, limit }: { room: string; limit: number }) => {
      const all = this.messages.filter((message) => message.room === room);
      return { messages: all.slice(-limit), more: all.length > limit };
    });
    on(
      'message',
      ({ room, body, clientMessageId }: { room: string; body: string; clientMessageId: string }) => {
        const { id, seq, at } = this.#post(room, ANA, body, clientMessageId);
        return { id, seq, at };
      },
    );
    on('room:join', ({ room }: { room: string }) => ({ joined: this.#rooms.set(room, true).size }));
    on('room:create', (body: { room: string }) => {
      this.created.push(body);
      return { joined: this.#rooms.set(body.room, true).size };
    });
    on('room:leave', ({ room }: { room: string }) => ({ left: this.#rooms.delete(room) }));
    on('read', () => ({}));
    on('status:set', (body: object) => ({ n: this.statuses.push(body) }));
    socket.emit('auth_success', { message: 'welcome', user: ANA });
  }

  #roomList(): object[] {
    return [...this.#rooms].map(([room, member]) => {
      const lastSeq = this.messages.filter((message) => message.room === room).length;
      return { room, title: room, member, lastSeq, readSeq: 0 };
    });
  }

  #post(room: string, from: ChatMessage['from'], body: string, clientMessageId?: string): ChatMessage {
    const seq = this.messages.filter((message) => message.room === room).length + 1;
    const at = new Date().toISOString();
    const message = {
      id: randomUUID(),
      room,
      seq,
      from,
      body,
      at,
      ...(clientMessageId && { clientMessageId }),
    };
    this.messages.push(message);
    this.emit('message', message);
    return message;
  }
}

export const ANA = { id: '0b7e2c3a-0000-4000-8000-000000000001', username: 'ana' };

const CLIENT = {
  ...{ id: 'c1', client_id: 'slc_1_abc', tenantId: 1, name: 'Branch 12', disabled: false },
  ...{ scopes: ['sync:read'], partitions: ['branch-12'] },
};
const PERSON = {
  ...{ id: 'u1', username: 'ana', email: 'ana@example.org', role: 'member' },
  ...{ partitions: ['paris:read'], verified: true, disabled: false },
};

function signupAnswer({ password }: Record<string, unknown>): Answer {
  return password === 'short' ? SIGNUP_FAULTS : SIGNED_UP;
}

const SIGNED_UP: Answer = {
  status: 201,
  body: { message: 'Look into your mail.', user_id: 'u1' },
};
const SIGNUP_FAULTS: Answer = {
  status: 400,
  body: {
    ...{ code: 'invalid_request', message: 'The request is not valid: see `errors`.' },
    errors: [
      { path: 'email', message: 'write an e-mail address' },
      { path: 'password', message: 'at least 8 characters' },
    ],
  },
};

function refuse(status: number, code: string): Answer {
  return { status, body: { code, message: `refused: ${code}` } };
}
