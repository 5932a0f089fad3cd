import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { Server } from 'socket.io';
import { WebSocket } from 'ws';
import { startSubscriber, runWriter } from '../support/fault-clients.ts';
import { checkApplied, checkLog, checkWrites } from '../support/fault-history.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import type { FaultProxy } from '../support/fault-proxy.ts';
import { createChance, pause } from '../support/fault-seed.ts';
import { connectWire, startSyncGateway, tokenFor, until } from '../support/sync-gateway.ts';
import type { SyncGateway, WireClient } from '../support/sync-gateway.ts';

const asset = (id: string, text: string) => ({
  collection: 'assets',
  id,
  op: 'put' as const,
  data: { name: id, text },
});

describe('faults: the network', () => {
  let gateway: SyncGateway;
  let proxy: FaultProxy;
  const cleanUp: (() => unknown)[] = [];
  beforeEach(async () => {
    gateway = await startSyncGateway();
    proxy = await startFaultProxy(() => gateway.url);
  });
  afterEach(async () => {
    for (const clean of cleanUp.splice(0)) await clean();
    await proxy.close();
    await gateway.close();
  });
  const connect = async (url: string): Promise<WireClient> => {
    const client = await connectWire(url);
    cleanUp.push(() => client.close());
    return client;
  };

  for (const [variant, bad] of [
    ['nothing is lost or doubled', false],
    ['known bad: live only, and a new batch at every retry', true],
  ] as const) {
    it(`[F6] [I1] [I2] [I3] connections reset at a random byte: ${variant}`, async () => {
      const chance = createChance('F6');
      proxy.weather = () => ({ resetAfter: chance.between(800, 9_000), slice: chance.between(1, 600) });
      const subscriber = startSubscriber(() => proxy.url, { liveOnly: bad });
      cleanUp.push(() => subscriber.close());
      await until('the subscriber', () => subscriber.cursor !== null);
      const url = () => proxy.url;
      const runs = [0, 1, 2].map((w) => runWriter(url, { name: `w${w}`, count: 60, newBatchOnRetry: bad }));
      const history = (await Promise.all(runs)).flat();
      proxy.weather = () => ({});
      proxy.resetAll();
      const { sql } = gateway.db;
      const [total] = await sql<{ n: number }>('SELECT count(*)::int AS n FROM changes');
      if (!bad) await until('the rest', () => subscriber.applied.length >= (total?.n ?? 0));
      const faults = [...(await checkWrites(sql, history)), ...(await checkApplied(sql, subscriber.applied))];
      expect(await checkLog(sql)).to.deep.equal([]);
      expect(faults.length > 0, faults.join()).to.equal(bad);
      expect(subscriber.reconnects).to.be.above(1);
    }).timeout(40_000);
  }

  it('[F8] [L8] [CR3] [I4] a stalled reader is cut off with bounded memory; others are unharmed; it resumes', async () => {
    const weather = { stall: false };
    proxy.weather = () => weather;
    const subscriber = startSubscriber(() => proxy.url);
    const stalled = await connect(proxy.url);
    const other = await connect(gateway.url);
    cleanUp.push(() => subscriber.close());
    await stalled.hello({ subscribe: [] });
    await other.hello({ subscribe: [{ collection: 'assets' }] });
    await stalled.push([asset('large', 'x'.repeat(60_000))]);
    await until('the subscriber', () => subscriber.cursor !== null);
    weather.stall = true;
    await pause(60);
    // each small put is answered by a conflict of 60 KB that nobody reads
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 600; i += 1)
      stalled.socket.emit(
        'sync:push',
        { seq: i + 2, batchId: crypto.randomUUID(), mutations: [asset('large', 'y')] },
        () => undefined,
      );
    await other.push([asset('unharmed', 'x')]);
    await until('the other', () => other.records.has('assets/unharmed'));
    await runWriter(() => gateway.url, { name: 'w', count: 20 });
    await until('the cut', () => gateway.sockets.size === 2);
    expect(process.memoryUsage().rss - before).to.be.below(300 * 1024 * 1024);
    weather.stall = false;
    proxy.resetAll();
    await until('what it missed', () => subscriber.applied.length === 21, 10_000);
    expect(subscriber.resets).to.equal(0);
  }).timeout(30_000);

  it('[F8] known bad: a room without credits piles up what a stalled reader does not read', async () => {
    const http = createServer();
    const io = new Server(http, { transports: ['websocket'] });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const weather = { stall: true };
    const bare = await startFaultProxy(() => `http://127.0.0.1:${(http.address() as AddressInfo).port}`);
    bare.weather = () => weather;
    cleanUp.push(
      () => bare.close(),
      () => io.close(),
    );
    const raw = new WebSocket(`${bare.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    cleanUp.push(() => raw.terminate());
    await until('the connection', () => io.engine.clientsCount === 1);
    raw.on('error', () => undefined);
    const [connection] = Object.values(
      (
        io.engine as unknown as {
          clients: Record<string, { writeBuffer: { data: string }[]; write(data: string): void }>;
        }
      ).clients,
    );
    for (let i = 0; i < 300; i += 1) {
      connection?.write('x'.repeat(200_000));
      await pause(0);
    }
    const waiting = connection?.writeBuffer.reduce((sum, { data }) => sum + data.length, 0) ?? 0;
    expect(waiting).to.be.above(8 * 1024 * 1024);
  });

  it('[F10] [L7] [I4] a flooding sender is cut off, others go on; a gateway without a pace is caught', async () => {
    const [calm, flood] = [await connect(gateway.url), await connect(gateway.url)];
    for (const client of [calm, flood]) await client.hello({ subscribe: [] });
    const closed = new Promise((resolve) => flood.socket.once('disconnect', resolve));
    for (let i = 0; i < 8_000; i += 1)
      flood.socket.emit('sync:push', { seq: 10 ** 6, batchId: '?', i }, () => undefined);
    const acks = await Promise.all(Array.from({ length: 20 }, (_, i) => calm.push([asset(`calm-${i}`, '')])));
    await closed;
    expect(acks.every(({ ok }) => ok)).to.equal(true);
    const http = createServer();
    const io = new Server(http);
    io.of('/sync').on('connection', (socket) =>
      socket.on('sync:push', (_body, ack: (answer: object) => void) => ack({})),
    );
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    cleanUp.push(() => io.close());
    const bare = await connect(`http://127.0.0.1:${(http.address() as AddressInfo).port}`);
    for (let i = 0; i < 8_000; i += 1) bare.socket.emit('sync:push', {}, () => undefined);
    await bare.request('sync:push', {});
    expect(bare.socket.connected, 'the known-bad variant').to.equal(true);
  }).timeout(30_000);

  const open = `40/sync,${JSON.stringify({ token: tokenFor() })}`;
  const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
  const packets: [string, (string | Buffer)[]][] = [
    ['an engine packet of no type', ['zzz']],
    ['a Socket.IO packet of no type', ['4zzz']],
    ['an event that is no array', ['42/sync,{}']],
    ['an event whose name is a number', ['42/sync,1[5,{}]', '42/sync,2[0]']],
    ['an event whose name is an object', ['42/sync,1[{}]']],
    ['reserved names', ['42/sync,1["error",{"a":1}]', '42/sync,2["disconnect"]']],
    ['names of a prototype', ['42/sync,1["__proto__",{}]', '42/sync,2["constructor",{}]']],
    ['10,000 levels', [`42/sync,1["sync:push",${deep(10_000)}]`]],
    ['1,000,000 levels', [`42/sync,1["sync:push",${deep(1_000_000)}]`]],
    ['JSON that breaks off', ['42/sync,1["sync:push",{"seq":1,']],
    ['an attachment', ['451-/sync,1["sync:push",{"_placeholder":true,"num":0}]', Buffer.alloc(1_000_000)]],
    [
      'an attachment that is not there',
      ['451-/sync,1["sync:push",{"_placeholder":true,"num":7}]', Buffer.alloc(1)],
    ],
    ['attachments promised and never sent', ['4599999999-/sync,1["sync:push",{}]']],
    ['a binary frame out of the blue', [Buffer.from([1, 2, 3])]],
    ['an acknowledgement of nothing', ['43/sync,77[{}]', '43/sync,[null]']],
    ['a second handshake', [open, open]],
    ['another namespace', ['40/nothing,', '42/nothing,1["x"]']],
    ['5 MiB', [`42/sync,1["sync:push","${'x'.repeat(5 * 1024 * 1024)}"]`]],
    ['one key 100,000 times', [`42/sync,1["sync:push",{${Array(100_000).fill('"a":1').join()}}]`]],
    ['an empty message', ['', '4', '42']],
  ];
  const fire = async (url: string, frames: (string | Buffer)[]) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('message', resolve));
    socket.send(open);
    await pause(15);
    for (const frame of frames) socket.send(frame);
    await pause(25);
    socket.terminate();
  };
  for (const [what, frames] of packets) {
    it(`[F11] [E2] ${what}: no crash, others unharmed`, async () => {
      const calm = await connect(gateway.url);
      await calm.hello({ subscribe: [] });
      await fire(gateway.url, frames);
      expect(await calm.push([asset(what, '')])).to.include({ ok: true });
    });
  }

  it('[F11] known bad: a handler that takes the name for text throws, and the same packets find it', async () => {
    const http = createServer();
    const io = new Server(http);
    const thrown: unknown[] = [];
    io.of('/sync').on('connection', (socket) =>
      socket.onAny((name: string) => {
        try {
          name.slice(0, 60);
        } catch (error) {
          thrown.push(error);
        }
      }),
    );
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    cleanUp.push(() => io.close());
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    for (const [, frames] of packets.slice(3, 5)) await fire(url, frames);
    expect(thrown).to.not.deep.equal([]);
  });
});
