import { expect } from 'chai';
import { createChatClient } from '../../sdk/index.ts';
import type { ChatClient, ChatClientOptions, ChatMessage } from '../../sdk/index.ts';
import type { FakeChat } from './fake-chat.ts';
import { startFakeChat } from './fake-chat.ts';
import { BACKOFF, tokensOf, until } from './support.ts';

let gateway: FakeChat;
let client: ChatClient;
let received: ChatMessage[] = [];
let errors: Error[] = [];
const bodies = (): string[] => received.map((message) => message.body);

async function start(options: Partial<ChatClientOptions> = {}): Promise<void> {
  client = createChatClient({
    url: gateway.url,
    tokens: tokensOf('token'),
    backoff: BACKOFF,
    timeoutMs: 400,
    ...options,
  });
  received = [];
  errors = [];
  client.on('message', (message) => received.push(message));
  client.on('error', (error) => errors.push(error));
  client.start();
  await until(() => client.state.name !== 'connecting');
}
const live = (): Promise<void> => until(() => client.state.name === 'live');

describe('sdk chat', () => {
  beforeEach(async () => {
    gateway = await startFakeChat();
  });
  afterEach(async () => {
    await client.close();
    await gateway.close();
  });

  it('is live with rooms and presence once auth_success came', async () => {
    await start();
    await live();
    expect(client.rooms.map((room) => room.room)).to.deep.equal(['general']);
    expect(client.presence.get('u1')).to.include({ name: 'ana', status: 'online' });
  });

  it('sends, and resolves with id and seq', async () => {
    await start();
    const answer = await client.send('general', 'hello');
    expect(answer).to.include({ id: 'm1', seq: 1 });
    await until(() => received.length === 1);
    expect(bodies()).to.deep.equal(['hello']);
  });

  it('[P2] cut before the acknowledgement: sent again with the same id, stored once', async () => {
    let cuts = 2;
    gateway.faults.cutAfterStore = () => cuts-- > 0;
    await start();
    const answers = await Promise.all([client.send('general', 'a'), client.send('general', 'b')]);
    expect(gateway.messages.map((message) => message.body)).to.have.members(['a', 'b']);
    expect(answers.map((answer) => answer.seq)).to.have.members([1, 2]);
  });

  it('what is sent before there is a connection goes out in order', async () => {
    await start({ url: 'http://127.0.0.1:9' });
    await client.close();
    await start();
    const sent = ['a', 'b', 'c'].map((body) => client.send('general', body));
    await Promise.all(sent);
    expect(gateway.messages.map((message) => message.body)).to.deep.equal(['a', 'b', 'c']);
  });

  it('[P3] messages missed while away are fetched, in seq order, each once', async () => {
    gateway.post('old');
    await start();
    await live();
    gateway.post('1');
    await until(() => received.length === 1);
    gateway.faults.mute = () => true;
    for (const body of ['2', '3', '4', '5', '6', '7', '8']) gateway.post(body);
    gateway.faults = {};
    gateway.disconnect();
    await until(() => received.length === 8);
    gateway.post('9');
    await until(() => received.length === 9);
    expect(bodies().join('')).to.equal('123456789');
  });

  it('[P3] a broadcast that was lost is noticed by the next one', async () => {
    await start();
    await live();
    gateway.faults.mute = (message) => message.seq === 2;
    for (const body of ['1', '2', '3']) gateway.post(body);
    await until(() => received.length === 3);
    expect(bodies()).to.deep.equal(['1', '2', '3']);
  });

  it('[P3] doubled broadcasts are given out once', async () => {
    await start();
    await live();
    gateway.post('1');
    gateway.say('message', gateway.messages[0]);
    gateway.post('2');
    await until(() => received.length >= 2);
    expect(bodies()).to.deep.equal(['1', '2']);
  });

  it('a refusal for ever rejects; a refusal for now is tried again', async () => {
    await start();
    await live();
    const refusals = ['rate_limited', 'forbidden'];
    gateway.faults.message = () => {
      const code = refusals.shift();
      return code === undefined ? undefined : { ok: false, error: { code, message: code, retry: 'later' } };
    };
    const failure = await client.send('general', 'a').catch((error: unknown) => error);
    expect(failure).to.include({ code: 'forbidden', status: 403 });
    expect(await client.send('general', 'b')).to.include({ seq: 1 });
  });

  it('[P7] auth_error: one new token is tried', async () => {
    gateway.faults.authError = (token) => (token === 'old' ? 'token_expired' : undefined);
    await start({ tokens: tokensOf('old', 'new') });
    await live();
    expect(gateway.tokens).to.deep.equal(['old', 'new']);
  });

  it('rooms, history, typing, read marks and status', async () => {
    await start();
    await live();
    gateway.post('1');
    expect((await client.history('general')).messages.map((one) => one.body)).to.deep.equal(['1']);
    await client.createRoom('sales', 'Sales');
    await client.join('sales');
    client.typing('general');
    await client.read('general', 1);
    await client.setStatus('busy', 'counting');
    await client.leave('sales');
    expect(gateway.heard.slice(-6).map(({ event, body }) => [event, body])).to.deep.equal([
      ['room:create', { room: 'sales', title: 'Sales' }],
      ['room:join', { room: 'sales' }],
      ['typing', { room: 'general' }],
      ['read', { room: 'general', seq: 1 }],
      ['status:set', { status: 'busy', text: 'counting' }],
      ['room:leave', { room: 'sales' }],
    ]);
  });

  it('passes on presence, typing and changed rooms', async () => {
    await start();
    await live();
    const seen: string[] = [];
    client.on('presence', (one) => seen.push(one.status));
    client.on('typing', (one) => seen.push(one.from.username));
    client.on('rooms', (rooms) => seen.push(`${rooms.length} room`));
    gateway.say('presence', { ...client.presence.get('u1'), status: 'away' });
    gateway.say('typing', { room: 'general', from: { id: 'u2', username: 'ben' } });
    gateway.say('room:changed', { room: 'general' });
    await until(() => seen.length === 3);
    expect(seen).to.deep.equal(['away', 'ben', '1 room']);
    expect(client.presence.get('u1')?.status).to.equal('away');
  });
});
