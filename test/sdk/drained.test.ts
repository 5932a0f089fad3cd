import { expect } from 'chai';
import type { FakeGateway } from './fake-gateway.ts';
import { startFakeGateway } from './fake-gateway.ts';
import { closeClients, put, startClient } from './support.ts';

let gateway: FakeGateway;

describe('sdk drained', () => {
  beforeEach(async () => {
    gateway = await startFakeGateway();
  });
  afterEach(async () => {
    await closeClients();
    await gateway.close();
  });

  it('[P1] drained leaves no listener behind, and waits for what is pushed meanwhile', async () => {
    const { client } = await startClient(gateway);
    let listening = 0;
    const on = client.on.bind(client);
    client.on = (event, listener) => {
      const unlisten = on(event, listener);
      listening += 1;
      return () => {
        listening -= 1;
        unlisten();
      };
    };
    await client.drained();
    const waiting = client.push([put('a')]).then(() => client.drained());
    await client.push([put('b')]);
    await waiting;
    await client.drained();
    expect(await client.stats()).to.include({ queue: 0, applied: 2 });
    expect(listening).to.equal(0);
  });

  it('[P1] drained rejects with `closed` when the client closes first, and at once when it is closed', async () => {
    gateway.faults.push = () => 'silent';
    const { client } = await startClient(gateway);
    await client.push([put('a')]);
    const codeOf = (waiting: Promise<void>): Promise<unknown> =>
      waiting.then(
        () => 'drained',
        (error: unknown) => (error as { code: string }).code,
      );
    const before = [codeOf(client.drained()), codeOf(client.drained())];
    await client.close({ closeStore: false });
    expect(await Promise.all([...before, codeOf(client.drained())])).to.deep.equal(
      Array.from({ length: 3 }, () => 'closed'),
    );
  });
});
