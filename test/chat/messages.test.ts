import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { SentMessage } from '../../server/chat/messages.ts';
import { addTenant, enterChat, openChat, startChatGateway } from '../support/chat-gateway.ts';
import type { Answer, ChatGateway, ChatToken, ChatWire } from '../support/chat-gateway.ts';
import { until } from '../support/sync-gateway.ts';

describe('chat: messages, on two nodes', () => {
  let a: ChatGateway;
  let b: ChatGateway;
  const clients: ChatWire[] = [];
  const enter = async (gateway: ChatGateway, token: ChatToken = {}): Promise<ChatWire> => {
    const client = await enterChat(gateway.url, token);
    clients.push(client);
    return client;
  };
  before(async () => {
    a = await startChatGateway();
    b = await startChatGateway({ databaseUrl: a.databaseUrl });
    await addTenant(a.db, 2);
  });
  afterEach(() => clients.splice(0).forEach((client) => client.close()));
  after(async () => {
    await a.close();
    await b.close();
  });

  /** A room of one's own, so that its numbers begin at 1. */
  const makeRoom = async (...members: ChatWire[]): Promise<string> => {
    const room = `room-${randomUUID().slice(0, 8)}`;
    const [first, ...others] = members;
    expect(await first!.ask('room:create', { room })).to.deep.equal({ ok: true });
    for (const member of others) expect(await member.ask('room:join', { room })).to.deep.equal({ ok: true });
    return room;
  };

  it('[CH1] 20 senders at once on two nodes: seq without gaps, one order for everybody, each once', async () => {
    const senders = await Promise.all(Array.from({ length: 20 }, (_, i) => enter(i % 2 ? a : b)));
    const room = await makeRoom(...senders);
    const acks = await Promise.all(
      senders.flatMap((sender, s) =>
        Array.from({ length: 10 }, (_, i) => sender.send(room, `${s}/${i}`) as Promise<SentMessage>),
      ),
    );
    const numbers = Array.from({ length: 200 }, (_, i) => i + 1);
    expect(acks.map((ack) => ack.seq).sort((x, y) => x - y)).to.deep.equal(numbers);
    await until('all of them everywhere', () => senders.every((one) => one.messages.length >= 200));
    const bodies = senders[0]!.messages.map((message) => message.body);
    for (const { messages } of senders) {
      expect(messages.map((message) => message.seq)).to.deep.equal(numbers);
      expect(messages.map((message) => message.body)).to.deep.equal(bodies);
    }
  });

  it('[CH1] the first messages of a room, sent on two nodes at once, get different numbers', async () => {
    const [one, two] = [await enter(a), await enter(b)];
    for (let i = 0; i < 10; i += 1) {
      const room = await makeRoom(one, two);
      const acks = await Promise.all([one.send(room, 'x'), two.send(room, 'y')]);
      expect(acks.map((ack) => (ack as SentMessage).seq).sort()).to.deep.equal([1, 2]);
    }
  });

  it('[CH1] keeps the order in which one socket sends', async () => {
    const sender = await enter(a);
    const room = await makeRoom(sender);
    const sent = Array.from({ length: 100 }, (_, i) => sender.send(room, String(i)) as Promise<SentMessage>);
    const acks = await Promise.all(sent);
    expect(acks.map((ack) => ack.seq)).to.deep.equal(Array.from({ length: 100 }, (_, i) => i + 1));
  });

  it('[CH2] a repeated clientMessageId gets the first answer: here, on another node, after a restart', async () => {
    const id = randomUUID();
    const [sender, other] = [await enter(a, { id }), await enter(b, { id })];
    const room = await makeRoom(sender);
    const clientMessageId = randomUUID();
    const first = await sender.send(room, 'once', clientMessageId);
    const third = await startChatGateway({ databaseUrl: a.databaseUrl });
    const later = await enter(third, { id });
    const again = await Promise.all(
      [sender, other, later].map((client) => client.send(room, 'once', clientMessageId)),
    );
    await third.close();
    expect(again).to.deep.equal([first, first, first]);
    const { messages } = await sender.ask('room:history', { room });
    expect(messages.map((message) => message.body)).to.deep.equal(['once']);
  });

  it('[CH2] the same clientMessageId on both nodes at the same moment is one message', async () => {
    const id = randomUUID();
    const [one, two] = [await enter(a, { id }), await enter(b, { id })];
    const room = await makeRoom(one);
    for (let i = 1; i <= 10; i += 1) {
      const clientMessageId = randomUUID();
      const [x, y] = await Promise.all([one, two].map((c) => c.send(room, `m${i}`, clientMessageId)));
      expect(x).to.deep.equal(y);
      expect((x as SentMessage).seq).to.equal(i);
    }
  });

  it('[CH2] an id that was used in another room is refused, and is another sender’s own affair', async () => {
    const [sender, other] = [await enter(a), await enter(a)];
    const [first, second] = [await makeRoom(sender, other), await makeRoom(sender)];
    const clientMessageId = randomUUID();
    const sent = (await sender.send(first, 'x', clientMessageId)) as SentMessage;
    expect(await sender.send(second, 'x', clientMessageId)).to.nested.include({ 'error.code': 'seq_reuse' });
    const others = (await other.send(first, 'x', clientMessageId)) as SentMessage;
    expect([others.seq, others.id === sent.id]).to.deep.equal([2, false]);
  });

  it('[CH3] only the sender’s own sockets get the clientMessageId, live and in the history', async () => {
    const [sender, other] = [await enter(a), await enter(b)];
    const mine = await enter(b, { id: sender.id });
    const room = await makeRoom(sender, other);
    const clientMessageId = randomUUID();
    await sender.send(room, 'hello', clientMessageId);
    await until('delivery', () => [sender, mine, other].every((client) => client.messages.length === 1));
    expect(mine.messages[0]).to.include({ clientMessageId, body: 'hello', room, seq: 1 });
    expect(other.messages[0]).not.to.have.property('clientMessageId');
    const own = await sender.ask('room:history', { room });
    const theirs = await other.ask('room:history', { room });
    expect(own.messages).to.deep.equal(sender.messages);
    expect(theirs.messages).to.deep.equal(other.messages);
  });

  it('[CH4] pages back through the history in ascending order, with `more`', async () => {
    const sender = await enter(a);
    const room = await makeRoom(sender);
    for (let i = 1; i <= 7; i += 1) await sender.send(room, String(i));
    const newest = await sender.ask('room:history', { room, limit: 3 });
    const older = await sender.ask('room:history', { room, limit: 3, before: 5 });
    const oldest = await sender.ask('room:history', { room, limit: 3, before: 2 });
    expect([newest, older, oldest].map((page) => page.messages.map((m) => m.seq))).to.deep.equal([
      [5, 6, 7],
      [2, 3, 4],
      [1],
    ]);
    expect([newest.more, older.more, oldest.more]).to.deep.equal([true, true, false]);
  });

  it('[CH5] one who is not a member reads, writes, hears and marks nothing', async () => {
    const [member, stranger] = [await enter(a), await enter(b)];
    const room = await makeRoom(member);
    await member.send(room, 'secret');
    const answers = await Promise.all([
      stranger.send(room, 'x'),
      stranger.ask('room:history', { room }),
      stranger.ask('read', { room, seq: 1 }),
    ]);
    expect(answers.map((answer) => !answer.ok && answer.error.code)).to.deep.equal(
      Array.from({ length: 3 }, () => 'forbidden'),
    );
    await member.send('general', 'fence');
    await until('the fence', () => stranger.messages.some((m) => m.body === 'fence'));
    expect(stranger.messages.map((m) => m.body)).not.to.include('secret');
    const { rooms } = await stranger.ask('room:list');
    expect(rooms.find((one) => one.room === room)).to.include({ member: false, lastSeq: 0 });
  });

  it('[S63] another tenant hears, reads and finds nothing, in rooms of the same name too', async () => {
    const [here, there] = [await enter(a), await enter(a, { tenantId: 2 })];
    const room = await makeRoom(here);
    await here.send('general', 'ours');
    expect(await there.send(room, 'x')).to.nested.include({ 'error.code': 'forbidden' });
    const { rooms } = await there.ask('room:list');
    expect(rooms.map((one) => one.room)).to.deep.equal(['general']);
    await there.send('general', 'theirs');
    await until('their own', () => there.messages.length > 0);
    expect(there.messages.map((m) => [m.body, m.seq])).to.deep.equal([['theirs', 1]]);
    const { messages } = await there.ask('room:history', { room: 'general' });
    expect(messages.map((m) => m.body)).to.deep.equal(['theirs']);
    expect(there.presence.map((one) => one.principal)).to.deep.equal([`user:${there.id}`]);
  });

  it('[S64] stores text as it is given, and refuses what the database cannot hold', async () => {
    const sender = await enter(a);
    const body = '<img src=x onerror=alert(1)> 👍 \u202e "quoted" \\u0000';
    await sender.send('general', body);
    await until('delivery', () => sender.messages.length === 1);
    expect(sender.messages[0]?.body).to.equal(body);
    for (const bad of ['nul \u0000', 'half \ud83d', '', 'x'.repeat(4_001)])
      expect(await sender.send('general', bad)).to.nested.include({ 'error.code': 'invalid_message' });
  });

  it('[S54] takes neither sender, seq nor time from the message', async () => {
    const sender = await enter(a);
    const forged = { from: { id: 'x' }, seq: 99, at: '2000-01-01', id: 'x', tenantId: 2 };
    const clientMessageId = randomUUID();
    await sender.ask('message', { room: 'general', body: 'b', clientMessageId, ...forged });
    await until('delivery', () => sender.messages.length === 1);
    const [message] = sender.messages;
    expect(message?.from.id).to.equal(sender.id);
    expect([message?.seq, message?.at, message?.id]).not.to.include.members([99]);
    expect(message?.at)
      .to.match(/^2\d{3}-.*Z$/)
      .and.not.match(/^2000/);
  });

  it('[CH6] malformed and unknown events get a code and change nothing', async () => {
    const sender = await enter(a);
    const deep = JSON.parse('['.repeat(40) + ']'.repeat(40)) as unknown;
    for (const body of [null, 7, 'x', [], {}, deep, { room: 'general', body: 'x' }, { room: '../etc' }])
      expect(await sender.ask('message', body)).to.nested.include({ 'error.code': 'invalid_message' });
    expect(await sender.ask('no:such', {})).to.nested.include({ 'error.code': 'invalid_message' });
    expect(await sender.ask('constructor', {})).to.nested.include({ 'error.code': 'invalid_message' });
  });

  it('[CH6] an event without its body, or with two, gets its answer', async () => {
    const sender = await enter(a);
    const ask = async (event: string, ...bodies: unknown[]) =>
      (await sender.socket.timeout(3_000).emitWithAck(event, ...bodies)) as Answer;
    const events = ['authenticate', 'auth:refresh', 'message', 'room:create', 'room:join', 'room:leave'];
    for (const event of [...events, 'room:history', 'typing', 'read', 'status:set'])
      for (const bodies of [[], [{}, {}]])
        expect(await ask(event, ...bodies), event).to.nested.include({ 'error.code': 'invalid_message' });
    expect(await ask('room:list')).to.include({ ok: true });
    expect(await ask('status:list')).to.include({ ok: true });
    expect(await ask('typing', { room: 'general' })).to.deep.equal({ ok: true });
    expect(await ask('7')).to.nested.include({ 'error.code': 'invalid_message' });
  });

  it('[F10] a flooding socket is refused, then cut off; the others go on', async () => {
    const [flooder, other] = [await enter(a), await enter(a)];
    const typing = { room: 'general' };
    for (let i = 0; i < 3_000; i += 1) flooder.socket.emit('typing', typing);
    await until('the cut', () => flooder.socket.disconnected);
    expect(await other.send('general', 'still here')).to.include({ ok: true });
  });

  it('[CH7] typing reaches the members on both nodes and not the sender', async () => {
    const [sender, other, stranger] = [await enter(a), await enter(b), await enter(b)];
    const room = await makeRoom(sender, other);
    const mine = await enter(a, { id: sender.id });
    await until('typing', () => {
      sender.socket.emit('typing', { room });
      return other.heard.some(([event]) => event === 'typing');
    });
    const [, body] = other.heard.find(([event]) => event === 'typing')!;
    expect(body).to.deep.equal({ room, from: { id: sender.id, username: `name-${sender.id.slice(0, 4)}` } });
    for (const client of [sender, mine, stranger])
      expect(client.heard.map(([event]) => event)).not.to.include('typing');
  });

  it('[F33] the last one to leave lets go of the tenant’s log, and the next one hears again', async () => {
    const gateway = await startChatGateway({ idleMs: 20 });
    const followed = (): number => gateway.sync.tenants.followed;
    for (let round = 0; round < 3; round += 1) {
      const [sender, other] = [await enterChat(gateway.url), await enterChat(gateway.url)];
      expect(await sender.send('general', `before ${round}`)).to.include({ ok: true });
      await until('delivery', () => other.messages.length === 1);
      sender.close();
      await until('its leaving', () => gateway.sockets.size === 1);
      const third = await enterChat(gateway.url);
      expect(await third.send('general', `after ${round}`)).to.include({ ok: true });
      await until('delivery', () => other.messages.length === 2);
      expect(followed()).to.equal(1);
      [other, third].forEach((client) => client.close());
      await until('the release', () => followed() === 0);
    }
    await gateway.close();
  });

  it('[P9] each message leaves its row in the audit, without its text', async () => {
    const sender = await enter(a);
    await sender.send('general', 'very private');
    const rows = await a.db.sql<{ action: string; details: unknown }>(
      'SELECT action, details FROM audit_logs WHERE principal = $1',
      [`user:${sender.id}`],
    );
    expect(rows.map((row) => row.action)).to.deep.equal(['sync.push']);
    expect(JSON.stringify(rows)).not.to.include('private');
  });

  it('[CH8] one that has not authenticated hears nothing and may ask nothing', async () => {
    const silent = openChat(a.url);
    clients.push(silent);
    const sender = await enter(a);
    await until('connected', () => silent.heard.length === 1);
    for (const event of ['message', 'room:list', 'room:history', 'status:list', 'read'])
      expect(await silent.ask(event, { room: 'general' })).to.nested.include({
        'error.code': 'unauthenticated',
      });
    await sender.send('general', 'not for you');
    await until('delivery', () => sender.messages.length === 1);
    expect(silent.heard.map(([event]) => event)).to.deep.equal(['connected']);
  });
});
