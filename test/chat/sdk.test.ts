import { expect } from 'chai';
import type { ChatMessage } from '../../protocol/chat.ts';
import { createChatClient } from '../../sdk/chat-client.ts';
import type { ChatClient } from '../../sdk/types.ts';
import { chatToken, QUICK, startChatGateway } from '../support/chat-gateway.ts';
import type { ChatGateway } from '../support/chat-gateway.ts';
import { until } from '../support/sync-gateway.ts';

describe('chat: the SDK’s client', () => {
  let gateway: ChatGateway;
  const clients: ChatClient[] = [];
  const start = (name: string): { client: ChatClient; messages: ChatMessage[] } => {
    const token = chatToken({ name });
    const client = createChatClient({
      url: gateway.url,
      tokens: { getAccessToken: () => Promise.resolve(token) },
    });
    const messages: ChatMessage[] = [];
    client.on('message', (message) => messages.push(message));
    clients.push(client);
    client.start();
    return { client, messages };
  };
  before(async () => {
    gateway = await startChatGateway({ timing: QUICK });
  });
  afterEach(() => Promise.all(clients.splice(0).map((client) => client.close())));
  after(() => gateway.close());

  it('[CH40] comes in, talks, sees rooms, people and read marks', async () => {
    const [ana, ben] = [start('ana'), start('ben')];
    await until('both', () => [ana, ben].every(({ client }) => client.state.name === 'live'));
    const sent = await ana.client.send('general', 'hello');
    await until('delivery', () => ben.messages.length === 1 && ana.messages.length === 1);
    expect(ben.messages[0]).to.include({ id: sent.id, seq: sent.seq, body: 'hello' });
    await until('presence', () => [...ben.client.presence.values()].some((one) => one.name === 'ana'));
    await ana.client.createRoom('prices', 'Prices');
    await until('the room', () => ben.client.rooms.some((one) => one.room === 'prices'));
    await ben.client.read('general', sent.seq);
    expect((await ben.client.listRooms())[0]).to.include({ room: 'general', readSeq: sent.seq });
    await ben.client.setStatus('busy', 'counting');
    await until('status', () =>
      [...ana.client.presence.values()].some((one) => one.name === 'ben' && one.text === 'counting'),
    );
  });
});
