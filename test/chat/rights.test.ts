import { expect } from 'chai';
import { AppError } from '../../protocol/errors.ts';
import { chatToken, enterChat, openChat, startChatGateway } from '../support/chat-gateway.ts';
import type { ChatGateway, ChatToken, ChatWire } from '../support/chat-gateway.ts';
import { until } from '../support/sync-gateway.ts';

const codesOf = (client: ChatWire, event: string): unknown[] =>
  client.heard.filter(([name]) => name === event).map(([, body]) => (body as { code: string }).code);

describe('chat: rights that change', () => {
  let gateway: ChatGateway;
  /** While set, whoever authenticates waits here. */
  let waiting: (() => void)[] | undefined;
  /** Tokens cannot be looked at. */
  let outage = false;
  const clients: ChatWire[] = [];

  before(async () => {
    gateway = await startChatGateway({
      beforeAdmitting() {
        if (outage) return Promise.reject(new AppError('unavailable'));
        return new Promise((resolve) => (waiting ? waiting.push(resolve) : resolve()));
      },
    });
  });
  afterEach(() => {
    waiting?.forEach((go) => go());
    waiting = undefined;
    clients.splice(0).forEach((client) => client.close());
  });
  after(() => gateway.close());
  const enter = async (token?: ChatToken): Promise<ChatWire> => {
    const client = await enterChat(gateway.url, token);
    clients.push(client);
    return client;
  };

  it('[P7] [S58] a demotion whose look fails ends a listener all the same', async () => {
    const [listener, other] = [await enter(), await enter()];
    const isDemoted = gateway.demoted.has.bind(gateway.demoted);
    let failures = 0;
    gateway.demoted.add(listener.id);
    gateway.demoted.has = (id) => {
      if (id !== listener.id || failures > 0) return isDemoted(id);
      failures += 1;
      throw new AppError('unavailable');
    };
    gateway.sockets.principalChanged(1, `user:${listener.id}`);
    await until('the cut', () => listener.socket.disconnected);
    expect(failures).to.equal(1);
    expect(codesOf(listener, 'auth_error')).to.deep.equal(['unavailable']);
    await other.send('general', 'not for the one that is gone');
    expect(listener.messages).to.deep.equal([]);
  });

  it('[S56] [S58] a demotion while the token is being checked is noticed before it is in', async () => {
    waiting = [];
    const id = crypto.randomUUID();
    const client = openChat(gateway.url, { token: chatToken({ id }) });
    clients.push(client);
    await until('the check', () => waiting?.length === 1);
    gateway.demoted.add(id);
    gateway.sockets.principalChanged(1, `user:${id}`);
    waiting.splice(0).forEach((go) => go());
    await until('the cut', () => client.socket.disconnected);
    expect(codesOf(client, 'auth:revoked')).to.deep.equal(['revoked']);
    expect(client.heard.map(([event]) => event)).not.to.include('auth_success');
  });

  it('[A2] of two auth:refresh the one that came last counts', async () => {
    const client = await enter({ ttlMs: 10_000 });
    const { id } = client;
    const refresh = (ttlMs: number): Promise<unknown> =>
      client.ask('auth:refresh', { token: chatToken({ id, ttlMs }) });
    waiting = [];
    // it would be warned of the end of this one after half a second
    const refreshed = [refresh(1_000), refresh(900_000)];
    await until('the first look', () => (waiting?.length ?? 0) > 0);
    // both have arrived; where they are looked at side by side, the later answer is there first
    await client.ask('nothing');
    const looks = waiting.splice(0).reverse();
    waiting = undefined;
    looks.forEach((go) => go());
    await Promise.all(refreshed);
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect(client.heard.map(([event]) => event)).not.to.include('auth:expiring');
    expect(await client.send('general', 'still in')).to.include({ ok: true });
  });

  it('[CH10] [E3] what could not be looked up is no wrong credential', async () => {
    const client = openChat(gateway.url);
    clients.push(client);
    const authenticate = async (): Promise<string> => {
      const { ok, error } = await client.ask('authenticate', { token: chatToken() });
      return ok ? 'ok' : error.code;
    };
    outage = true;
    const codes = await Promise.all(Array.from({ length: 5 }, authenticate));
    outage = false;
    expect(codes).to.deep.equal(Array(5).fill('unavailable'));
    await until('the pace', async () => (await authenticate()) === 'ok');
    expect(client.heard.map(([event]) => event)).to.include('auth_success');
  });

  it('[A2] a socket that closes while its new token is looked at leaves nothing behind', async () => {
    const [client, other] = [await enter(), await enter()];
    waiting = [];
    void client.ask('auth:refresh', { token: chatToken({ id: client.id }) }).catch(() => undefined);
    await until('the look', () => waiting?.length === 1);
    const before = gateway.sockets.size;
    client.close();
    await until('the end', () => gateway.sockets.size === before - 1);
    waiting.splice(0).forEach((go) => go());
    await other.ask('nothing');
    expect(gateway.sockets.size).to.equal(before - 1);
  });
});
