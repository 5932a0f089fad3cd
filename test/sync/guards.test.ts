import { expect } from 'chai';
import WebSocket from 'ws';
import type { HelloAck, Refusal } from '../../protocol/sync.ts';
import type { Principal } from '../../server/auth/principal.ts';
import { createAddressBook, isDeeperThan } from '../../server/sockets/intake.ts';
import { createGate } from '../../server/gate.ts';
import { tokenFor, toPrincipal, until } from '../support/sync-gateway.ts';
import { applied, asset, useGateway } from './setup.ts';

/** A connection below Socket.IO's client: what it sends is what is written here. */
async function connectRaw(
  url: string,
): Promise<{ socket: WebSocket; heard: string[]; closed: () => boolean }> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  const heard: string[] = [];
  let closed = false;
  socket.on('error', () => undefined);
  socket.on('close', () => (closed = true));
  socket.on('message', (data: Buffer) => void heard.push(data.toString()));
  await until('the engine', () => heard.length > 0);
  return { socket, heard, closed: () => closed };
}

const large = 'x'.repeat(40_000);
const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
const attachment = '451-["x",{"_placeholder":true,"num":0}]';

const codeOf = (ack: { ok: true } | Refusal): string => (ack.ok ? 'ok' : ack.error.code);

describe('sync: what guards the door', () => {
  /** Tokens that were looked at. */
  let looks = 0;
  const authenticate = (token: string): Promise<Principal> => {
    looks += 1;
    return Promise.resolve(toPrincipal(token));
  };
  const suite = useGateway({ identity: { authenticate } });

  const strangers: [string, (string | Buffer)[]][] = [
    ['a handshake of 40,000 characters', [`40/sync,{"token":"x","more":"${large}"}`]],
    ['an event of 40,000 characters on /', ['40', `42["x","${large}"]`]],
    ['2,000 levels', [`40/sync,{"token":"x","more":${deep(2_000)}}`]],
    ['an attachment', ['40', attachment, Buffer.alloc(1_000)]],
  ];
  for (const [what, frames] of strangers) {
    it(`[L10] before authentication, ${what} closes the connection`, async () => {
      const { socket, closed } = await connectRaw(suite.gateway.url);
      for (const frame of frames) socket.send(frame);
      await until('its end', closed, 2_000);
      const calm = await suite.greeted();
      expect(await applied(calm, asset(what))).to.be.a('number');
    });
  }

  /** Below Socket.IO's client, and let in. */
  async function connectKnown(): Promise<Awaited<ReturnType<typeof connectRaw>>> {
    const raw = await connectRaw(suite.gateway.url);
    raw.socket.send(`40/sync,${JSON.stringify({ token: tokenFor() })}`);
    await until('the handshake', () => raw.heard.some((text) => text.startsWith('40/sync')));
    return raw;
  }

  it('[L10] after authentication, 2,000 levels close the connection', async () => {
    const { socket, closed } = await connectKnown();
    socket.send(`42/sync,1["sync:push",${deep(2_000)}]`);
    await until('its end', closed, 2_000);
  });

  const binaries: [string, string | Buffer][] = [
    ['the announcement of an attachment', '451-/sync,1["sync:push",{"_placeholder":true,"num":0}]'],
    ['an acknowledgement with an attachment', '461-/sync,1[{"_placeholder":true,"num":0}]'],
    ['bytes', Buffer.alloc(10)],
  ];
  for (const [what, frame] of binaries) {
    it(`[L10] [E2] [E5] the wire has no binary: ${what} closes the connection, which is told why`, async () => {
      const { socket, heard, closed } = await connectKnown();
      socket.send(frame);
      await until('its end', closed, 2_000);
      expect(heard.join()).to.include('"sync:closing"').and.include('invalid_message');
    });
  }

  const idle: [string, string][] = [
    ['acknowledgements of nothing', '43/sync,1[]'],
    ['packets of the engine', '6'],
  ];
  for (const [what, frame] of idle) {
    it(`[L7] ${what} are packets as well: over 4,000 a second closes the connection`, async () => {
      const { socket, heard, closed } = await connectKnown();
      for (let i = 0; i < 30_000; i += 1) socket.send(frame);
      await until('its end', closed, 5_000);
      expect(heard.join()).to.include('"sync:closing"').and.include('rate_limited');
    }).timeout(20_000);
  }

  it('[L7] pings of the WebSocket count too', async () => {
    const { socket, closed } = await connectKnown();
    for (let i = 0; i < 30_000; i += 1) socket.ping();
    await until('its end', closed, 5_000);
  }).timeout(20_000);

  for (const frame of ['40/sync,{"token":"x"}', '40/nothing,', '40']) {
    it(`[L12] a connection that asks to be let in again and again is closed: ${frame}`, async () => {
      const { socket, heard, closed } = await connectRaw(suite.gateway.url);
      for (let i = 0; i < 10; i += 1) socket.send(frame);
      const answers = (): number => heard.filter((text) => /^4[04]/.test(text)).length;
      await until('the refusals', () => answers() === 10 || frame === '40');
      expect(closed()).to.equal(false);
      socket.send(frame);
      await until('its end', closed, 2_000);
    });
  }

  it('[L11] over 32 MiB a second: sync:closing rate_limited', async () => {
    const a = await suite.greeted();
    const said: unknown[] = [];
    a.socket.on('sync:closing', ({ code }: { code: string }) => void said.push(code));
    const closed = new Promise((resolve) => a.socket.once('disconnect', resolve));
    // as much as it takes on a slow machine
    for (let sent = 0; a.socket.connected && sent < 400; sent += 1) {
      a.socket.emit('sync:ack', 'x'.repeat(2 * 1024 * 1024));
      if (sent > 40) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await closed;
    expect(said).to.deep.equal(['rate_limited']);
  }).timeout(40_000);

  it('[L11] an address holds as many connections as it may; this machine as many as it likes', () => {
    const book = createAddressBook(2);
    const enter = (address: string): boolean => book.enter(address);
    expect(['10.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.2'].map(enter)).to.deep.equal([
      true,
      true,
      false,
      true,
    ]);
    book.leave('10.0.0.1');
    expect(enter('10.0.0.1')).to.equal(true);
    expect(['127.0.0.1', '127.0.0.1', '::1', '::1', '::1'].every(enter)).to.equal(true);
    const network = ['2001:db8::1', '2001:DB8:0:0:1::2', '2001:db8:0:0:2::', '2001:db8:0:1::1'];
    expect(network.map(enter)).to.deep.equal([true, true, false, true]);
    book.leave('2001:db8::9');
    expect(enter('2001:db8::3')).to.equal(true);
  });

  it('[L10] depth is counted outside of strings, whatever they hold', () => {
    const texts: [string, boolean][] = [
      ['[[[]]]', true],
      ['[[],[],[]]', false],
      ['["[[[[","\\"[[[","\\\\",{}]', false],
      ['["\\\\",[[1]]]', true],
      ['["never ends [[[[', false],
    ];
    for (const [text, expected] of texts) expect(isDeeperThan(text, 2), text).to.equal(expected);
  });

  it('[H1] [L12] one hello at a time; more than a few in a row: rate_limited, and the connection stays', async () => {
    const a = await suite.client();
    const body = { protocol: 1, clientId: a.clientId, incarnation: 'i', cursor: null, subscribe: [] };
    const first = ['x', 'y'].map((incarnation) =>
      a.request<HelloAck>('sync:hello', { ...body, incarnation }),
    );
    expect((await Promise.all(first)).map(codeOf)).to.deep.equal(['ok', 'invalid_message']);
    const b = await suite.client();
    const hello = (): Promise<HelloAck> => b.request('sync:hello', { ...body, protocol: 2 });
    const codes = new Set<string>();
    for (let i = 0; i < 20; i += 1) codes.add(codeOf(await hello()));
    expect([...codes]).to.deep.equal(['unsupported_protocol', 'rate_limited']);
    expect(b.socket.connected).to.equal(true);
  });

  it('[H9] who may neither read nor write anything gets no installation', async () => {
    const codes = [];
    for (const scopes of [['chat'], [], ['records:stoku:read'], ['admin']]) {
      const a = await suite.client({ token: tokenFor({ scopes }) });
      codes.push(
        await a.hello({ subscribe: [] }).then(
          () => 'ok',
          (error: unknown) => (error as { code: string }).code,
        ),
      );
    }
    expect(codes).to.deep.equal(['forbidden', 'forbidden', 'ok', 'ok']);
  });

  it('[L12] 1,000 new installations of a principal a day; those it has go on', async () => {
    const token = tokenFor({ id: 'many' });
    const { clientId, incarnation } = await suite.greeted({ token });
    await suite.gateway.db.sql(
      `INSERT INTO sync_clients (tenant_id, client_id, incarnation, principal)
       SELECT 1, gen_random_uuid(), 'i', principal FROM sync_clients, generate_series(1, 999) WHERE client_id = $1`,
      [clientId],
    );
    const refused = await suite.greeted({ token }).catch((error: unknown) => error);
    expect(refused).to.include({ code: 'rate_limited' });
    await suite.greeted({ token, clientId, incarnation });
    await suite.greeted();
  });

  it('[L12] a flood of auth:refresh: rate_limited, the connection stays, and few tokens are looked at', async () => {
    const token = tokenFor({ id: 'refreshing' });
    const a = await suite.greeted({ token });
    looks = 0;
    const asked = Array.from({ length: 200 }, () =>
      a.request<{ ok: true } | Refusal>('auth:refresh', { token }),
    );
    const codes = (await Promise.all(asked)).map(codeOf);
    const passed = codes.filter((code) => code === 'ok').length;
    expect(passed).to.be.within(5, 60);
    expect(codes.filter((code) => code === 'rate_limited')).to.have.length(200 - passed);
    expect(looks).to.equal(passed);
    expect(await applied(a, asset('l12-refresh'))).to.be.a('number');
  });

  it('[L12] a flood of subscribes: rate_limited, the connection stays, and few snapshots are begun', async () => {
    const a = await suite.greeted();
    const acks = await Promise.all(
      Array.from({ length: 300 }, () =>
        a.request<{ ok: true } | Refusal>('sync:subscribe', { collection: 'assets' }),
      ),
    );
    const codes = acks.map(codeOf);
    expect(new Set(codes)).to.deep.equal(new Set(['ok', 'rate_limited']));
    expect(codes.filter((code) => code === 'ok').length).to.be.within(20, 40);
    expect(await applied(a, asset('l12'))).to.be.a('number');
  });

  it('[CR3] lanes that wait at the gate take turns', async () => {
    const gate = createGate(1);
    const done: string[] = [];
    const note = (name: string) => () => Promise.resolve(void done.push(name));
    const lanes = [1, 1, 1, 1, 2, 2, 3];
    await Promise.all(lanes.map((lane, i) => gate(note(`${lane}.${i}`), lane)));
    expect(done).to.deep.equal(['1.0', '1.1', '2.4', '3.6', '1.2', '2.5', '1.3']);
  });
});
