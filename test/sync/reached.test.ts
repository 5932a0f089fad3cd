import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Sql } from '../../server/db.ts';
import { createLogger } from '../../server/log.ts';
import { Feed } from '../../server/sync/feed.ts';
import type { Gate } from '../../server/gate.ts';
import { createGate } from '../../server/gate.ts';
import { sayHello } from '../../server/sync/hello.ts';
import type { SyncSession } from '../../server/sync/hello.ts';
import type { FrameSink } from '../../server/sync/subscriber.ts';
import { TenantTail } from '../../server/sync/tail.ts';
import { ALL, tokenFor, toPrincipal, until } from '../support/sync-gateway.ts';
import { applied, asset, useGateway } from './setup.ts';

const log = createLogger('silent');
const nothing = (): void => undefined;
const sink: FrameSink = {
  sendDelta: nothing,
  sendSnapshot: nothing,
  joinRoom: nothing,
  leaveRoom: nothing,
  end: nothing,
};

describe('sync: a cursor that is ahead of what the node has read', () => {
  const suite = useGateway();

  it('[C7] is waited for outside the gate, so that other hellos are answered meanwhile', async () => {
    const { db, sync } = suite.gateway;
    /** Pages of the log that are asked for wait here. */
    const pages: (() => void)[] = [];
    let slow = true;
    const sql: Sql = async <Row>(text: string, values?: readonly unknown[]): Promise<Row[]> => {
      if (slow && text.startsWith('WITH near')) await new Promise<void>((resolve) => pages.push(resolve));
      return await db.sql<Row & object>(text, values);
    };
    const read: Gate = (work) => work();
    const feed = await Feed.start({ sql, log, emitToRoom: nothing, read }, 1);
    const greet = createGate(1);
    const context = { db, collections: sync.collections, follow: () => Promise.resolve(feed), greet };
    const hello = (cursor: string | null): Promise<SyncSession> => {
      const installation = { clientId: randomUUID(), incarnation: randomUUID() };
      const principal = toPrincipal(tokenFor());
      const message = { protocol: 1 as const, ...installation, cursor, subscribe: ALL };
      return sayHello(context, { principal }, { hello: message, sink });
    };
    const client = await suite.client();
    await client.hello();
    const head = await applied(client, asset('ahead'));
    await until('the change', () => client.records.has('assets/ahead'));
    const ahead = hello(client.cursor);
    await until('its page', () => pages.length === 1);
    expect((await hello(null)).reply.mode).to.equal('snapshot');
    slow = false;
    pages.forEach((go) => go());
    expect((await ahead).reply).to.include({ mode: 'resume', head });
    feed.close();
  });

  it('[C7] is waited for no longer than it takes to read so far, however busy the log is', async () => {
    let pages = 0;
    const sql: Sql = <Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> => {
      if (text.includes('FROM sync_versions')) return rows({ head: 10, epoch: 'e', floor: 0, mark: 10 });
      const after = Number(values[1]);
      const version = after + 1;
      pages += 1;
      // another node's hint, while the page is on its way: there always is more
      if (pages < 500) tail.advanceTo(version + 1);
      return rows({ version, mark: version, after_mark: after, at: new Date(), bytes: 2 });
    };
    const rows = async <Row>(row: object): Promise<Row[]> => {
      await new Promise((resolve) => setImmediate(resolve));
      return [row as Row];
    };
    const tail: TenantTail = await TenantTail.start({ sql, log }, 1, nothing);
    tail.advanceTo(11);
    await tail.reached(13);
    expect(tail.head.version).to.be.within(13, 20);
    // until it comes to rest
    await tail.reached(10_000);
    expect(pages).to.be.at.least(500);
  });

  it('[C7] is not waited for when the log cannot be read', async () => {
    const sql: Sql = <Row>(text: string): Promise<Row[]> =>
      text.includes('FROM sync_versions')
        ? Promise.resolve([{ head: 10, epoch: 'e', floor: 0, mark: 1 } as Row])
        : Promise.reject(new Error('no database'));
    const tail = await TenantTail.start({ sql, log }, 1, nothing);
    tail.advanceTo(11);
    await tail.reached(11);
    expect(tail.head.version).to.equal(10);
  });
});
