import { expect } from 'chai';
import { ApiError } from '../../sdk/index.ts';
import type { FakeGateway } from './fake-gateway.ts';
import { startFakeGateway } from './fake-gateway.ts';
import { closeClients, startClient, tokensOf, until } from './support.ts';

let gateway: FakeGateway;

describe('sdk connection', () => {
  beforeEach(async () => {
    gateway = await startFakeGateway();
  });
  afterEach(async () => {
    await closeClients();
    await gateway.close();
  });

  it('says who it is and what waits in its outbox', async () => {
    const { client } = await startClient(gateway, { app: { name: 'agent', version: '2' } });
    await until(() => client.state.name === 'live');
    expect(gateway.hellos[0]).to.deep.include({ protocol: 1, cursor: null });
    expect(gateway.hellos[0]?.app).to.deep.equal({ name: 'agent', version: '2', queue: 0, inbox: 0 });
  });

  it('[5.7] connects again after the server itself ended the connection', async () => {
    const { client, of } = await startClient(gateway);
    await until(() => client.state.name === 'live');
    gateway.disconnect();
    await until(() => gateway.hellos.length === 2 && client.state.name === 'live');
    expect(of('state').map((state) => state.name)).to.include('offline');
  });

  it('[5.7] counts attempts while nobody is there, and forgets them once a connection held', async () => {
    const { client, of } = await startClient(gateway, { url: 'http://127.0.0.1:9' });
    await until(() => of('state').some((state) => state.name === 'offline' && state.attempt >= 3));
    await client.close();
    const second = await startClient(gateway);
    await until(() => second.client.state.name === 'live');
    gateway.disconnect();
    await until(() => second.client.state.name === 'live' && second.client.state.attempt === 1);
    await until(() => second.client.state.name === 'live' && second.client.state.attempt === 0);
  });

  it('[5.7] waits as long as the closing gateway asks', async () => {
    const { client, of } = await startClient(gateway);
    await until(() => client.state.name === 'live');
    gateway.say('sync:closing', { code: 'draining', message: 'restart', retryAfterMs: 200 });
    gateway.disconnect();
    await until(() => client.state.name === 'offline');
    expect(of('closing')).to.deep.equal([{ code: 'draining', message: 'restart', retryAfterMs: 200 }]);
    expect((client.state as { retryInMs: number }).retryInMs).to.be.within(200, 280);
  });

  it('[5.7] a refused token is replaced once, at once', async () => {
    gateway.faults.handshake = (token) => (token === 'old' ? { code: 'token_expired' } : undefined);
    const { client, of } = await startClient(gateway, { tokens: tokensOf('old', 'new') });
    await until(() => client.state.name === 'live');
    expect(gateway.tokens).to.deep.equal(['old', 'new']);
    expect(of('state').map((state) => state.name)).to.not.include('refused');
  });

  it('[P7] revoked: one new token is tried, then refused, and slowly tried again', async () => {
    const { client, of } = await startClient(gateway, { backoff: { baseMs: 10, capMs: 10, stableMs: 50 } });
    await until(() => client.state.name === 'live');
    gateway.faults.handshake = () => ({ code: 'revoked' });
    gateway.say('auth:revoked', { code: 'revoked' });
    gateway.disconnect();
    await until(() => client.state.name === 'refused');
    expect(client.state).to.include({ code: 'revoked' });
    expect(gateway.tokens).to.have.lengthOf(2);
    expect(of('revoked')).to.deep.equal([{ code: 'revoked' }]);
    gateway.faults = {};
    await until(() => client.state.name === 'live');
  });

  it('[F28] auth:expiring: a fresh token goes in band and the connection stays', async () => {
    const { client } = await startClient(gateway, { tokens: tokensOf('old', 'new') });
    await until(() => client.state.name === 'live');
    gateway.say('auth:expiring', { at: new Date().toISOString() });
    await until(() => gateway.refreshed.length === 1);
    expect(gateway.refreshed).to.deep.equal(['new']);
    expect(gateway.hellos).to.have.lengthOf(1);
  });

  it('no token to be had: refused when the credentials are wrong, offline when nobody answers', async () => {
    const failing = (status: number, code: string): { getAccessToken: () => Promise<string> } => ({
      getAccessToken: () => Promise.reject(new ApiError({ status, code, message: code })),
    });
    const wrong = await startClient(gateway, { tokens: failing(401, 'invalid_client') });
    const away = await startClient(gateway, { tokens: failing(0, 'unreachable') });
    await until(() => wrong.client.state.name === 'refused' && away.client.state.name === 'offline');
    expect(wrong.client.state).to.include({ code: 'invalid_client' });
    expect(away.client.state).to.include({ lastError: 'unreachable' });
  });

  it('a hello that is refused for ever is shown as refused', async () => {
    const { client } = await startClient(gateway);
    await until(() => client.state.name === 'live');
    gateway.faults.hello = () =>
      ({ ok: false, error: { code: 'unsupported_protocol', message: '2', retry: 'never' } }) as never;
    gateway.disconnect();
    await until(() => client.state.name === 'refused');
    expect(client.state).to.include({ code: 'unsupported_protocol' });
  });

  it('a listener that throws does not stop the engine', async () => {
    const { client, of } = await startClient(gateway);
    client.on('state', () => {
      throw new Error('not mine');
    });
    await until(() => client.state.name === 'live');
    expect(of('error').some((error) => error.message === 'not mine')).to.equal(true);
  });

  it('close ends the connection, and nothing comes back', async () => {
    const { client } = await startClient(gateway);
    await until(() => client.state.name === 'live');
    await client.close();
    await until(() => gateway.connected === 0);
    expect(client.state).to.deep.equal({ name: 'closed' });
  });
});
