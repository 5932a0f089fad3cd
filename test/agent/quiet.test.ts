import { expect } from 'chai';
import { sellInvoice } from '../../demo/retail/erp.ts';
import { DEFAULT_BACKOFF, refusedDelay, retryDelay } from '../../sdk/backoff.ts';
import { startSyncGateway, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';
import type { Branch } from './support.ts';
import { createBranch, invoice, item, settled } from './support.ts';

describe('agent: what it says, and how long it waits', () => {
  let gateway: SyncGateway;
  let branch: Branch;
  beforeEach(async () => {
    gateway = await startSyncGateway();
    branch = createBranch(gateway.url, 'tirana');
  });
  afterEach(async () => {
    await branch.close();
    await gateway.close();
  });

  const idleLines = (): number => branch.lines.filter(({ event }) => event === 'idle').length;

  it('logs idle when it has caught up, not after every sale', async () => {
    const agent = branch.start();
    await until('idle', () => idleLines() === 1);
    for (const number of ['1', '2', '3']) {
      sellInvoice(branch.erp, invoice(number, [item('A')]));
      await settled(gateway, agent);
      await new Promise((resolve) => setTimeout(resolve, 600));
    }
    expect(idleLines()).to.equal(1);
    await branch.stop();
    sellInvoice(branch.erp, invoice('4', [item('A')]));
    branch.start();
    await until('idle again', () => idleLines() === 2);
  });

  it('waits no longer than the longest pause, whatever the gateway advised', () => {
    const backoff = { ...DEFAULT_BACKOFF, longestMs: 60_000 };
    for (const random of [0, 0.5, 0.999]) {
      const advised = { attempt: 3, advisedMs: 698_951 };
      for (const delay of [
        retryDelay(backoff, () => random, advised),
        refusedDelay(backoff, () => random, advised),
      ])
        expect(delay).to.be.within(30_000, 60_000);
      expect(refusedDelay(backoff, () => random, { attempt: 20 })).to.be.within(2_500, 60_000);
    }
    expect(retryDelay(DEFAULT_BACKOFF, () => 0, { attempt: 0, advisedMs: 698_951 })).to.equal(698_951);
  });
});
