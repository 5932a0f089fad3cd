import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { HelloAck, PushAck } from '../../protocol/sync.ts';
import { tokenFor, until } from '../support/sync-gateway.ts';
import type { WireClient } from '../support/sync-gateway.ts';
import { refusalOf, stock, useGateway, verdictOf } from './setup.ts';

const batch = (mutations: unknown[], more: object = {}): object => ({
  seq: 1,
  batchId: randomUUID(),
  mutations,
  ...more,
});

const deep = (levels: number): object => {
  let value: object = {};
  for (let i = 0; i < levels; i += 1) value = { a: value };
  return value;
};

/** Sends an event as text, for what no JavaScript client would write. Returns the text of the answer. */
function rawEvent(client: WireClient, text: string): Promise<string> {
  const engine = client.socket.io.engine as unknown as {
    write(text: string): void;
    on(event: 'data', listener: (data: string) => void): void;
  };
  const answer = new Promise<string>((resolve) => {
    engine.on('data', (data) => {
      if (data.startsWith('3/sync,900')) resolve(data);
    });
  });
  engine.write(`2/sync,900${text}`);
  return answer;
}

describe('sync: refusals', () => {
  const suite = useGateway();
  const pushRaw = async (a: WireClient, body: unknown) =>
    refusalOf(await a.request<PushAck>('sync:push', body));
  const helloRaw = async (a: WireClient, more: object) => {
    const body = {
      protocol: 1,
      clientId: a.clientId,
      incarnation: '1',
      cursor: null,
      subscribe: [],
      ...more,
    };
    return refusalOf(await a.request<HelloAck>('sync:hello', body));
  };

  it('[E1] a refusal names its code, says what to do, and whether to retry', async () => {
    const a = await suite.client();
    const error = await pushRaw(a, batch([stock('x')]));
    expect(error).to.deep.equal({
      code: 'hello_required',
      message: 'Send sync:hello first.',
      retry: 'never',
    });
  });

  it('[H1] push, subscribe and unsubscribe before hello: hello_required', async () => {
    const a = await suite.client();
    for (const event of ['sync:push', 'sync:subscribe', 'sync:unsubscribe']) {
      expect(refusalOf(await a.request(event, { collection: 'stoku' })).code).to.equal('hello_required');
    }
  });

  it('[H1] a second hello on a connection: invalid_message', async () => {
    const a = await suite.greeted();
    expect((await helloRaw(a, {})).code).to.equal('invalid_message');
  });

  it('[H1] two hellos at once: one is answered', async () => {
    const a = await suite.client();
    const answers = await Promise.allSettled([a.hello(), a.hello()]);
    expect(answers.map(({ status }) => status).sort()).to.deep.equal(['fulfilled', 'rejected']);
  });

  it('[H2] another protocol: unsupported_protocol', async () => {
    expect((await helloRaw(await suite.client(), { protocol: 2 })).code).to.equal('unsupported_protocol');
  });

  it('[H4] a clientId belongs to the principal that came first, whatever the incarnation: client_mismatch', async () => {
    const [a, b, c] = [await suite.greeted(), await suite.client(), await suite.client()];
    const mine = { clientId: a.clientId, incarnation: a.incarnation };
    expect((await helloRaw(b, mine)).code).to.equal('client_mismatch');
    expect((await helloRaw(c, { clientId: a.clientId, incarnation: 'another' })).code).to.equal(
      'client_mismatch',
    );
  });

  it('[H4] [S63] a foreign hello leaves no trace on the installation', async () => {
    const [a, b] = [await suite.greeted(), await suite.client()];
    const app = { name: 'thief', version: '1' };
    await helloRaw(b, { clientId: a.clientId, incarnation: a.incarnation, app });
    const rows = await suite.gateway.db.sql<{ app_name: string | null }>(
      'SELECT app_name FROM sync_clients WHERE client_id = $1',
      [a.clientId],
    );
    expect(rows).to.deep.equal([{ app_name: null }]);
  });

  it('[H5] subscriptions beyond one’s rights are refused, never cut silently', async () => {
    const token = tokenFor({ partitions: ['b1'], scopes: ['records:stoku:read', 'sync:write'] });
    const codes = [];
    for (const subscription of [
      { collection: 'nothing' },
      { collection: 'assets' },
      { collection: 'stoku', partitions: ['b1', 'b2'] },
    ]) {
      codes.push((await helloRaw(await suite.client({ token }), { subscribe: [subscription] })).code);
    }
    expect(codes).to.deep.equal(['unknown_collection', 'forbidden', 'forbidden_partition']);
  });

  /** As JSON has it: a name like any other. Spread, it stays one. */
  const strange = JSON.parse('{"__proto__":{"admin":true}}') as object;

  const badHello: [string, object][] = [
    ['no clientId', { clientId: undefined }],
    ['a clientId that is no UUID', { clientId: 'x' }],
    ['an empty incarnation', { incarnation: '' }],
    ['half a surrogate pair in the incarnation', { incarnation: '\ud800' }],
    ['NUL in the name of the app', { app: { name: '\u0000', version: '1' } }],
    ['half a surrogate pair in the app’s version', { app: { name: 'x', version: '\udfff' } }],
    ['65 subscriptions', { subscribe: Array(65).fill({ collection: 'stoku' }) }],
    ['NUL in a partition', { subscribe: [{ collection: 'stoku', partitions: ['\u0000'] }] }],
    ['the name `__proto__`', strange],
  ];
  for (const [what, more] of badHello) {
    it(`[E2] [L5] hello with ${what}: invalid_message`, async () => {
      expect((await helloRaw(await suite.client(), more)).code).to.equal('invalid_message');
    });
  }

  const badPush: [string, unknown][] = [
    ['nothing', undefined],
    ['null', null],
    ['text', 'hello'],
    ['an array', [1, 2]],
    ['no mutations', batch([])],
    ['seq 0', batch([stock('x')], { seq: 0 })],
    ['seq 2^53', batch([stock('x')], { seq: 2 ** 53 })],
    ['a seq with a fraction', batch([stock('x')], { seq: 1.5 })],
    ['a batchId that is no UUID', batch([stock('x')], { batchId: '1' })],
    ['an unknown op', batch([{ ...stock('x'), op: 'upsert' }])],
    ['a collection with odd characters', batch([{ ...stock('x'), collection: 'Stoku; --' }])],
    ['a collection of 64 characters', batch([{ ...stock('x'), collection: 'a'.repeat(64) }])],
    ['an empty id', batch([stock('')])],
    ['an id of 201 characters', batch([stock('x'.repeat(201))])],
    ['NUL in an id', batch([stock('a\u0000b')])],
    ['half a surrogate pair in an id', batch([stock('\ud83d')])],
    ['half a surrogate pair in a partition', batch([stock('x', 1, { partition: '\udc00' })])],
    ['an empty partition', batch([stock('x', 1, { partition: '' })])],
    ['a negative baseVersion', batch([stock('x', 1, { baseVersion: -1 })])],
    ['a baseVersion of 2^52', batch([stock('x', 1, { baseVersion: 2 ** 52 })])],
    ['data that is an array', batch([{ ...stock('x'), data: [] }])],
    ['33 levels', batch([{ ...stock('x'), data: deep(30) }])],
    ['1,000 levels', batch([{ ...stock('x'), data: deep(1_000) }])],
    ['`__proto__` in the message', { ...batch([stock('x')]), ...strange }],
    ['`__proto__` in a mutation', batch([stock('x'), { ...stock('x'), ...strange }])],
  ];
  for (const [what, body] of badPush) {
    it(`[E2] push with ${what}: invalid_message, and nothing is used up`, async () => {
      const a = await suite.greeted();
      expect(await pushRaw(a, body)).to.include({ code: 'invalid_message', retry: 'never' });
      expect(verdictOf(await a.push([stock(`after-${randomUUID()}`)], { seq: 1 })).ok).to.equal(true);
    });
  }

  it('[E2] says where the message does not parse', async () => {
    const a = await suite.greeted();
    const error = await pushRaw(a, batch([stock('x'), { ...stock('x'), op: 'upsert' }]));
    expect(error).to.include({ path: 'mutations.1.op' });
  });

  it('[E2] an event that does not exist gets an answer when it asks for one', async () => {
    const a = await suite.greeted();
    expect(refusalOf(await a.request('sync:nothing', {})).code).to.equal('invalid_message');
    a.socket.emit('sync:nothing', {});
    a.socket.emit('error', new Error('x'));
    const b = await suite.greeted();
    expect(verdictOf(await b.push([stock('still-here')])).ok).to.equal(true);
  });

  const events = [
    'sync:hello',
    'sync:push',
    'sync:subscribe',
    'sync:unsubscribe',
    'sync:ack',
    'auth:refresh',
  ];
  for (const event of events)
    it(`[E2] ${event} without a body, or with two, gets its answer`, async () => {
      const a = await suite.greeted();
      for (const bodies of [[], [{}, {}], [null], [{}, 1, 'x']]) {
        const answer = (await a.socket.timeout(3_000).emitWithAck(event, ...bodies)) as PushAck;
        expect(refusalOf(answer).code).to.equal('invalid_message');
      }
    });

  it('[E4] a message without an acknowledgement takes effect all the same', async () => {
    const a = await suite.greeted();
    a.socket.emit('sync:push', batch([stock('no-ack')]));
    a.socket.emit('sync:push', 'rubbish');
    a.socket.emit('sync:hello');
    await until('the record', async () => {
      const rows = await suite.gateway.db.sql(`SELECT 1 FROM records WHERE id = 'no-ack'`);
      return rows.length === 1;
    });
  });

  it('[E6] a number beyond what a double holds is refused, not rounded to infinity', async () => {
    const a = await suite.greeted();
    const body = JSON.stringify(batch([stock('inf', 7)])).replace(':7', ':1e400');
    const answer = await rawEvent(a, `["sync:push",${body}]`);
    expect(answer).to.contain('invalid_message');
    expect(await suite.gateway.db.sql(`SELECT 1 FROM records WHERE id = 'inf'`)).to.deep.equal([]);
  });

  it('[E6] integers beyond 2^53 are what JSON makes of them', async () => {
    const a = await suite.greeted();
    await a.push([stock('big', 2 ** 60)]);
    const [row] = await suite.gateway.db.sql<{ data: { quantity: number } }>(
      `SELECT data FROM records WHERE id = 'big'`,
    );
    expect(row?.data.quantity).to.equal(2 ** 60);
  });
});
