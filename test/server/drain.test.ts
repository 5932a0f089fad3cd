import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import type { Socket as ServerSocket } from 'socket.io';
import { Manager, io as connect } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import type { Closing } from '../../protocol/sync.ts';
import { createIo } from '../../server/io.ts';
import { createDoor } from '../../server/sockets/door.ts';
import { drain } from '../../server/sockets/drain.ts';
import type { Served } from '../../server/sockets/drain.ts';
import type { Principal } from '../../server/auth/principal.ts';
import { connectWire, startSyncGateway, tokenFor, toPrincipal, until } from '../support/sync-gateway.ts';
import type { SyncGateway, WireClient } from '../support/sync-gateway.ts';
import { asset, refusalOf, verdictOf } from '../sync/setup.ts';

const ALONE = { transports: ['websocket'], reconnection: false, forceNew: true };

/** What a client heard before its connection ended, and when that was. */
interface Parting {
  said: Closing[];
  at: number;
}

function partingOf(client: WireClient): Parting {
  const parting: Parting = { said: [], at: 0 };
  client.socket.on('sync:closing', (body: Closing) => void parting.said.push(body));
  client.socket.once('disconnect', () => (parting.at = performance.now()));
  return parting;
}

describe('a gateway that is asked to stop', () => {
  let gateway: SyncGateway;
  /** Commits wait here. */
  let release: () => void = () => undefined;
  let held: Promise<void> | undefined;
  /** Handshakes that have begun; while `shaking` is set they wait for it. */
  let handshakes: number;
  let shaking: Promise<void> | undefined;
  const clients: WireClient[] = [];

  beforeEach(async () => {
    held = shaking = undefined;
    handshakes = 0;
    const authenticate = async (token: string): Promise<Principal> => {
      handshakes += 1;
      await shaking;
      return toPrincipal(token);
    };
    const afterCommit = (): Promise<void> => held ?? Promise.resolve();
    gateway = await startSyncGateway({ afterCommit, identity: { authenticate } });
  });
  afterEach(async () => {
    release();
    clients.splice(0).forEach((client) => client.close());
    await gateway.close();
  });
  const hold = (): void => void (held = new Promise((resolve) => (release = resolve)));
  const greeted = async (): Promise<WireClient> => {
    const client = await connectWire(gateway.url);
    clients.push(client);
    await client.hello({ subscribe: [] });
    return client;
  };

  it('[OP2] [F5] what was accepted gets its verdict, what comes later is refused and uses no seq', async () => {
    hold();
    const a = await greeted();
    const parting = partingOf(a);
    const accepted = a.push([asset('before')]);
    await until('the commit', async () => {
      const rows = await gateway.db.sql(`SELECT 1 FROM records WHERE id = 'before'`);
      return rows.length === 1;
    });
    const drained = gateway.drain();
    const refusal = refusalOf(await a.push([asset('after')]));
    expect(refusal).to.include({ code: 'unavailable', retry: 'later' });
    expect(refusal.retryAfterMs).to.be.above(0);
    expect(a.socket.connected).to.equal(true);
    release();
    expect(verdictOf(await accepted)).to.include({ seq: 1 });
    await drained;
    await until('the end', () => parting.at > 0);
    expect(parting.said).to.have.length(1);
    expect(parting.said[0]).to.include({ code: 'unavailable' });
    expect(parting.said[0]?.retryAfterMs).to.be.above(0);
    const [client] = await gateway.db.sql('SELECT last_seq FROM sync_clients WHERE client_id = $1', [
      a.clientId,
    ]);
    expect(client).to.deep.equal({ last_seq: 1 });
  });

  it('[OP2] takes no new connection', async () => {
    hold();
    const a = await greeted();
    void a.push([asset('slow')]).catch(() => undefined);
    await until('the push', () => gateway.sync.waiting > 0);
    const drained = gateway.drain();
    const refused = await connectWire(gateway.url).catch((error: unknown) => error);
    expect(refused).to.be.an.instanceOf(Error);
    release();
    await drained;
  });

  it('[OP2] [F5] many sockets are sent away in slices, each told why, within a bounded time', async () => {
    const many = await Promise.all(Array.from({ length: 60 }, () => connectWire(gateway.url)));
    clients.push(...many);
    const partings = many.map(partingOf);
    await gateway.drain();
    await until('the last', () => partings.every(({ at }) => at > 0));
    for (const { said } of partings) expect(said.map(({ code }) => code)).to.deep.equal(['unavailable']);
    const times = partings.map(({ at }) => at).sort((a, b) => a - b);
    // 60 in slices of ten: never all in one instant
    expect(times.at(-1)! - times[0]!).to.be.above(150);
  });

  it('[OP2] [E5] a handshake that is under way when the drain begins is told to come again', async () => {
    let free = (): void => undefined;
    shaking = new Promise((resolve) => (free = resolve));
    const socket = connect(`${gateway.url}/sync`, { ...ALONE, auth: { token: tokenFor() } });
    const outcome = new Promise<unknown>((resolve) => {
      socket.once('connect', () => resolve('let in'));
      socket.once('connect_error', resolve);
      socket.once('disconnect', resolve);
    });
    await until('the handshake', () => handshakes === 1);
    const drained = gateway.drain();
    free();
    expect(await outcome).to.nested.include({ 'data.code': 'unavailable', 'data.retryAfterMs': 1_000 });
    await drained;
    socket.close();
  });

  it('[OP2] connections of nobody are not waited for', async () => {
    // it has joined no namespace
    const nobody = new Manager(gateway.url, ALONE);
    await new Promise((resolve) => nobody.once('open', () => resolve(undefined)));
    const ended = new Promise((resolve) => nobody.once('close', resolve));
    const began = performance.now();
    await gateway.drain();
    // what was said last is given two seconds to be written: here nothing was
    expect(performance.now() - began).to.be.below(1_900);
    await ended;
  });

  it('[OP2] [F5] a page that has both namespaces on its connection is one to send away, not two', async () => {
    const http = createServer();
    const io = createIo(http, () => true);
    const told: string[] = [];
    const serve = (name: string): Served => {
      const { sockets } = io.of(name);
      const part = (socket: ServerSocket) => (): void => {
        told.push(name);
        socket.disconnect(true);
      };
      return { partings: () => new Map([...sockets.values()].map((socket) => [socket.conn, part(socket)])) };
    };
    const namespaces = [serve('/'), serve('/sync')];
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    const heard = (socket: Socket, event: string): Promise<void> =>
      new Promise((resolve) => socket.once(event, () => resolve()));
    const pages = Array.from({ length: 12 }, () => {
      const page = new Manager(url, ALONE);
      return ['/', '/sync'].map((name) => page.socket(name).connect());
    }).flat();
    const ends = pages.map((socket) => heard(socket, 'disconnect'));
    await Promise.all(pages.map((socket) => heard(socket, 'connect')));
    const sync = { idle: () => Promise.resolve() };
    await drain({ http, io, sync, door: createDoor(), namespaces });
    await Promise.all(ends);
    expect(told).to.deep.equal(Array(12).fill('/sync'));
  });

  it('[OP2] a push that never ends does not hold the drain for ever', async () => {
    hold();
    const a = await greeted();
    const parting = partingOf(a);
    void a.push([asset('stuck')]).catch(() => undefined);
    await until('the push', () => gateway.sync.waiting > 0);
    await gateway.drain(200);
    await until('the end', () => parting.at > 0);
    expect(parting.said).to.have.length(1);
  });
});
