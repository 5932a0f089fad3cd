import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { enterChat, startChatGateway } from '../support/chat-gateway.ts';
import type { ChatGateway, ChatToken, ChatWire } from '../support/chat-gateway.ts';
import { until } from '../support/sync-gateway.ts';

describe('chat: rooms, on two nodes', () => {
  let a: ChatGateway;
  let b: ChatGateway;
  const clients: ChatWire[] = [];
  const enter = async (gateway: ChatGateway, token: ChatToken = {}): Promise<ChatWire> => {
    const client = await enterChat(gateway.url, token);
    clients.push(client);
    return client;
  };
  const name = (): string => `room-${randomUUID().slice(0, 8)}`;
  const changed = (client: ChatWire, room: string): boolean =>
    client.heard.some(
      ([event, body]) => event === 'room:changed' && (body as { room: string }).room === room,
    );
  before(async () => {
    a = await startChatGateway();
    b = await startChatGateway({ databaseUrl: a.databaseUrl });
  });
  afterEach(() => clients.splice(0).forEach((client) => client.close()));
  after(async () => {
    await a.close();
    await b.close();
  });

  it('[CH20] everybody is in general from the start, and nobody leaves it or makes it again', async () => {
    const client = await enter(a);
    const { rooms } = await client.ask('room:list');
    expect(rooms[0]).to.include({ room: 'general', title: 'General', member: true, readSeq: 0 });
    expect(await client.ask('room:join', { room: 'general' })).to.deep.equal({ ok: true });
    expect(await client.ask('room:leave', { room: 'general' })).to.nested.include({
      'error.code': 'forbidden',
    });
    expect(await client.ask('room:create', { room: 'general' })).to.nested.include({
      'error.code': 'already_exists',
    });
  });

  it('[CH21] a new room is announced on both nodes, listed, and joined by whoever wants to', async () => {
    const [maker, other] = [await enter(a), await enter(b)];
    const room = name();
    expect(await maker.ask('room:create', { room, title: 'Prices' })).to.deep.equal({ ok: true });
    await until('the word', () => changed(other, room) && changed(maker, room));
    const listed = (await other.ask('room:list')).rooms.find((one) => one.room === room);
    expect(listed).to.deep.equal({ room, title: 'Prices', member: false, lastSeq: 0, readSeq: 0 });
    expect(await other.ask('room:join', { room })).to.deep.equal({ ok: true });
    await maker.send(room, 'welcome');
    await until('delivery', () => other.messages.length === 1);
    expect(await maker.ask('room:create', { room })).to.nested.include({ 'error.code': 'already_exists' });
    expect(await maker.ask('room:join', { room: name() })).to.nested.include({ 'error.code': 'not_found' });
  });

  it('[CH22] joining and leaving move all of one’s sockets, on the other node too', async () => {
    const one = await enter(a);
    const two = await enter(b, { id: one.id });
    const maker = await enter(a);
    const room = name();
    await maker.ask('room:create', { room });
    await one.ask('room:join', { room });
    await until('the word', () => changed(two, room));
    await maker.send(room, 'in');
    await until('delivery', () => one.messages.length === 1 && two.messages.length === 1);
    two.heard.length = 0;
    await one.ask('room:leave', { room });
    await until('the word', () => changed(two, room));
    await maker.send(room, 'out');
    await maker.send('general', 'fence');
    await until('the fence', () => [one, two].every((c) => c.messages.at(-1)?.body === 'fence'));
    expect(two.messages.map((m) => m.body)).to.deep.equal(['in', 'fence']);
  });

  it('[CH22] a membership that changed without a hint is found by the poll', async () => {
    const client = await enter(b);
    const room = name();
    await a.db.sql(`INSERT INTO rooms (tenant_id, name, title, created_by) VALUES (1, $1, $1, 'x')`, [room]);
    await a.db.sql(`INSERT INTO room_members (tenant_id, room, principal) VALUES (1, $1, $2)`, [
      room,
      `user:${client.id}`,
    ]);
    const sender = await enter(a);
    await sender.ask('room:join', { room });
    await until('the poll', async () => {
      await sender.send(room, 'x');
      return client.messages.length > 0;
    });
  });

  it('[CH23] a private room is not listed, joined or read by others', async () => {
    const [member, stranger] = [await enter(a), await enter(a)];
    const room = name();
    await a.db.sql(
      `INSERT INTO rooms (tenant_id, name, title, private, created_by) VALUES (1, $1, $1, true, 'x')`,
      [room],
    );
    await a.db.sql(`INSERT INTO room_members (tenant_id, room, principal) VALUES (1, $1, $2)`, [
      room,
      `user:${member.id}`,
    ]);
    const listed = async (client: ChatWire): Promise<boolean> =>
      (await client.ask('room:list')).rooms.some((one) => one.room === room);
    expect([await listed(member), await listed(stranger)]).to.deep.equal([true, false]);
    expect(await stranger.ask('room:join', { room })).to.nested.include({ 'error.code': 'not_found' });
    expect(await stranger.send(room, 'x')).to.nested.include({ 'error.code': 'forbidden' });
    expect(await member.send(room, 'x')).to.include({ ok: true });
  });

  it('[CH24] read marks only grow, never beyond the last message, and are one’s own', async () => {
    const [reader, other] = [await enter(a), await enter(b)];
    const room = name();
    await reader.ask('room:create', { room });
    await other.ask('room:join', { room });
    for (const body of ['1', '2', '3']) await other.send(room, body);
    const mark = async (client: ChatWire): Promise<number | undefined> =>
      (await client.ask('room:list')).rooms.find((one) => one.room === room)?.readSeq;
    const marks: unknown[] = [];
    for (const seq of [2, 1, 99]) {
      expect(await reader.ask('read', { room, seq })).to.deep.equal({ ok: true });
      marks.push(await mark(reader));
    }
    expect([...marks, await mark(other)]).to.deep.equal([2, 2, 3, 0]);
    await other.send('general', 'x');
    expect(await reader.ask('read', { room: 'general', seq: 1 })).to.deep.equal({ ok: true });
    const { rooms } = await reader.ask('room:list');
    expect(rooms[0]).to.include({ room: 'general', readSeq: 1, member: true });
  });

  it('[P9] making, joining and leaving are audited, once each', async () => {
    const [maker, other] = [await enter(a), await enter(a)];
    const room = name();
    await maker.ask('room:create', { room });
    for (const event of ['room:join', 'room:join', 'room:leave', 'room:leave'])
      await other.ask(event, { room });
    const rows = await a.db.sql<{ action: string; principal: string }>(
      `SELECT action, principal FROM audit_logs WHERE details->>'room' = $1 ORDER BY id`,
      [room],
    );
    expect(rows.map((row) => [row.action, row.principal])).to.deep.equal([
      ['room.create', `user:${maker.id}`],
      ['room.join', `user:${other.id}`],
      ['room.leave', `user:${other.id}`],
    ]);
  });

  it('[CH25] names outside the alphabet, long titles and NUL are refused', async () => {
    const client = await enter(a);
    for (const room of ['', 'A', '../x', 'a b', 'x'.repeat(65), '__proto__'])
      expect(await client.ask('room:create', { room })).to.nested.include({
        'error.code': 'invalid_message',
      });
    for (const title of ['x'.repeat(101), 'a\u0000'])
      expect(await client.ask('room:create', { room: name(), title })).to.nested.include({
        'error.code': 'invalid_message',
      });
  });
});
