import { expect } from 'chai';
import { chatToken, enterChat, openChat, startChatGateway } from '../support/chat-gateway.ts';
import type { ChatGateway, ChatToken, ChatWire } from '../support/chat-gateway.ts';
import { until } from '../support/sync-gateway.ts';

const events = (client: ChatWire): string[] => client.heard.map(([event]) => event);
const codes = (client: ChatWire, event: string): unknown[] =>
  client.heard.filter(([name]) => name === event).map(([, body]) => (body as { code: string }).code);

describe('chat: authentication', () => {
  let gateway: ChatGateway;
  let admitting: Promise<void> = Promise.resolve();
  const clients: ChatWire[] = [];
  const open = (auth: Record<string, unknown> = {}): ChatWire => {
    const client = openChat(gateway.url, auth);
    clients.push(client);
    return client;
  };
  const enter = async (token: ChatToken = {}): Promise<ChatWire> => {
    const client = await enterChat(gateway.url, token);
    clients.push(client);
    return client;
  };
  before(async () => {
    gateway = await startChatGateway({ beforeAdmitting: () => admitting, authenticateWithinMs: 1_500 });
  });
  afterEach(() => clients.splice(0).forEach((client) => client.close()));
  after(() => gateway.close());

  it('[CH10] says connected, then takes a token or a password', async () => {
    const [byToken, byPassword] = [open(), open()];
    byToken.socket.emit('authenticate', { token: chatToken({ name: 'ana' }) });
    byPassword.socket.emit('authenticate', { username: 'ben', password: 'right' });
    for (const client of [byToken, byPassword]) {
      await until('auth_success', () => events(client).includes('auth_success'));
      expect(events(client).slice(0, 2)).to.deep.equal(['connected', 'auth_success']);
      expect(client.heard[0]?.[1]).to.include({ sid: client.socket.id, authenticateWithinMs: 1_500 });
    }
    expect(byPassword.heard[1]?.[1]).to.nested.include({ 'user.username': 'ben' });
    expect(await byPassword.send('general', 'hi')).to.include({ ok: true });
  });

  it('[CH10] answers wrong credentials with auth_error and cuts off after five', async () => {
    const client = open({ token: 'nonsense' });
    const wrong = { username: 'ben', password: 'wrong' };
    await until('the cut', () => {
      if (client.socket.connected && codes(client, 'auth_error').length < 5)
        client.socket.emit('authenticate', wrong);
      return client.socket.disconnected && events(client).length > 1;
    });
    expect(codes(client, 'auth_error').slice(0, 2)).to.deep.equal(['invalid_token', 'invalid_credentials']);
    expect(events(client)).not.to.include('auth_success');
  });

  it('[CH10] closes a socket that has not authenticated in time', async () => {
    const client = open();
    await until('the cut', () => client.heard.length > 0 && client.socket.disconnected);
    expect(codes(client, 'auth_error')).to.deep.equal(['unauthenticated']);
  });

  it('[CH10] refuses one without the scope chat', async () => {
    const client = open({ token: chatToken({ scopes: ['sync:read', 'sync:write'] }) });
    await until('auth_error', () => codes(client, 'auth_error').length > 0);
    expect(codes(client, 'auth_error')).to.deep.equal(['forbidden']);
    expect(await client.ask('room:list')).to.nested.include({ 'error.code': 'unauthenticated' });
  });

  it('[CH10] what is asked in the same breath waits for the answer', async () => {
    const client = open({ token: chatToken() });
    const list = client.ask('room:list');
    expect(await list).to.include({ ok: true });
  });

  it('[S55] warns before the token ends; a refresh in band keeps the socket', async () => {
    const token = { id: crypto.randomUUID(), ttlMs: 2_000 };
    const client = await enter(token);
    await until('the warning', () => events(client).includes('auth:expiring'));
    const foreign = await client.ask('auth:refresh', { token: chatToken() });
    expect(foreign).to.nested.include({ 'error.code': 'forbidden' });
    const renewed = await client.ask<{ expiresAt: string }>('auth:refresh', {
      token: chatToken({ ...token, ttlMs: 60_000 }),
    });
    expect(Date.parse(renewed.expiresAt)).to.be.greaterThan(Date.now() + 50_000);
    expect(await client.send('general', 'still')).to.include({ ok: true });
  });

  it('[S55] closes at expiry and the grace', async () => {
    const client = await enter({ ttlMs: -29_500 });
    await until('the cut', () => client.socket.disconnected);
    expect(codes(client, 'auth:revoked')).to.deep.equal(['token_expired']);
  });

  it('[P7] revoking the session ends its socket with a word, and it hears no more', async () => {
    const [gone, other] = [await enter({ sessionId: 'doomed' }), await enter()];
    gateway.sockets.closeSession('doomed');
    await other.send('general', 'after');
    await until('the cut', () => gone.socket.disconnected && other.messages.length === 1);
    expect(codes(gone, 'auth:revoked')).to.deep.equal(['revoked']);
    expect(gone.messages).to.deep.equal([]);
  });

  it('[P7] a refresh with a token of another session: that session’s end is what ends the socket', async () => {
    const id = crypto.randomUUID();
    const client = await enter({ id, sessionId: 'first' });
    await client.ask('auth:refresh', { token: chatToken({ id, sessionId: 'second' }) });
    gateway.sockets.closeSession('first');
    expect(await client.send('general', 'still')).to.include({ ok: true });
    gateway.sockets.closeSession('second');
    await until('the cut', () => client.socket.disconnected);
  });

  it('[S56] a session revoked while its token is being checked does not get in', async () => {
    let release = (): void => undefined;
    admitting = new Promise((resolve) => (release = resolve));
    const client = open({ token: chatToken({ sessionId: 'raced' }) });
    await until('connected', () => client.heard.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    gateway.revoked.add('raced');
    release();
    await until('the cut', () => client.socket.disconnected);
    expect(events(client)).not.to.include('auth_success');
    expect(codes(client, 'auth:revoked')).to.deep.equal(['revoked']);
  });

  it('[S58] a demotion ends the socket when it is told, and else at the next event', async () => {
    const [told, asking, other] = [await enter(), await enter(), await enter()];
    for (const { id } of [told, asking]) gateway.demoted.add(id);
    gateway.sockets.principalChanged(1, `user:${told.id}`);
    await asking.send('general', 'x').catch(() => undefined);
    await until('the cut', () => told.socket.disconnected && asking.socket.disconnected);
    for (const client of [told, asking]) expect(codes(client, 'auth:revoked')).to.deep.equal(['revoked']);
    await other.send('general', 'after');
    expect(told.messages.concat(asking.messages)).to.deep.equal([]);
    expect(other.messages.map(({ body }) => body)).to.deep.equal(['after']);
  });

  it('[F33] sockets that come and go leave nothing behind', async () => {
    const namespace = gateway.sockets;
    await until('the earlier ones', () => namespace.size === 0);
    for (let i = 0; i < 20; i += 1) (await enter()).close();
    const half = open({ token: chatToken() });
    half.close();
    await until('all gone', () => namespace.size === 0);
  });
});
