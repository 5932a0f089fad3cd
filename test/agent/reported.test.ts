import { expect } from 'chai';
import { dismissInbox, readInbox } from '../../agent/look.ts';
import type { AgentFigures } from '../../server/chat/presence.ts';
import { connectWire, startSyncGateway, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';
import type { Branch } from './support.ts';
import { createBranch } from './support.ts';

describe('agent: what the centre sees of its inbox', () => {
  let gateway: SyncGateway;
  let branch: Branch;
  let figures: () => AgentFigures;
  beforeEach(async () => {
    figures = () => ({});
    const connected = (_: unknown, given: () => AgentFigures = () => ({})): (() => void) => {
      figures = given;
      return () => undefined;
    };
    gateway = await startSyncGateway({ presence: { connected } });
    branch = createBranch(gateway.url, 'tirana');
  });
  afterEach(async () => {
    await branch.close();
    await gateway.close();
  });

  it('[CH33] [H10] a refusal is shown while the agent runs and when it comes again, until it is dealt with', async () => {
    branch.start();
    branch.erp.database.exec(`INSERT INTO orders (number, status) VALUES ('O-1', 'e re')`);
    await until('the refusal', () => figures().inbox === 1);
    await branch.stop();
    branch.start();
    await until('it is told at the hello', () => figures().inbox === 1);
    const [entry] = (await readInbox(branch.config)).gateway;
    dismissInbox(branch.config, entry?.batch.batchId ?? '');
    await until('nothing is left', () => figures().inbox === 0);
  });

  it('[H10] a report comes after hello, and is a count', async () => {
    const client = await connectWire(gateway.url);
    const ask = (body: unknown): Promise<unknown> =>
      client.socket.emitWithAck('sync:report', body) as Promise<unknown>;
    expect(await ask({ inbox: 1 })).to.nested.include({ 'error.code': 'hello_required' });
    await client.hello({ subscribe: [] });
    expect(await ask({ inbox: -1 })).to.nested.include({ 'error.code': 'invalid_message' });
    expect(await ask({ inbox: 3 })).to.deep.equal({ ok: true });
    expect(figures().inbox).to.equal(3);
    client.close();
  });
});
