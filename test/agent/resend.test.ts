import { expect } from 'chai';
import { drainOnce } from '../../agent/drain.ts';
import { createLog } from '../../agent/log.ts';
import { openSession } from '../../agent/session.ts';
import type { Session } from '../../agent/session.ts';
import { sellInvoice } from '../../demo/retail/erp.ts';
import type { MutationResult } from '../../protocol/sync.ts';
import type { QueuedBatch } from '../../sdk/store.ts';
import { until } from '../support/sync-gateway.ts';
import type { Branch } from './support.ts';
import { createBranch, invoice, item, tokensOf } from './support.ts';

const SKUS = Array.from({ length: 400 }, (_, at) => `SKU${at}`);

describe('agent: sending again', () => {
  let branch: Branch;
  let session: Session;
  let faults: string[];

  beforeEach(async () => {
    branch = createBranch('http://127.0.0.1:9', 'tirana');
    faults = [];
    session = await openSession({
      config: branch.config,
      tokens: tokensOf('tirana'),
      log: createLog({ write: () => undefined }, { json: true }),
      onFault: (event, error) => faults.push(`${event}: ${String(error)}`),
    });
  });

  afterEach(async () => {
    await session.close();
    await branch.close();
  });

  it('[P2] records lost at the centre are created again in as many batches as they need', async () => {
    nameProducts(SKUS, 'n'.repeat(3_000));
    sellInvoice(
      branch.erp,
      invoice(
        '1',
        SKUS.map((sku) => item(sku)),
      ),
    );
    await settleAll(await drained(), 'applied');
    sellInvoice(
      branch.erp,
      invoice(
        '2',
        SKUS.map((sku) => item(sku)),
      ),
    );
    const [sale] = await drained();
    await settleAll([sale!], 'not_found');
    const queued = await outbox();
    const creates = queued.filter((batch) => batch.atomic === false);
    expect(creates.length).to.be.above(1);
    expect(creates.flatMap(({ mutations }) => mutations)).to.have.length(SKUS.length);
    expect(queued.at(-1)?.mutations).to.deep.equal(sale?.mutations);
    expect(await session.store.inboxCount()).to.equal(0);
  });

  it('[P5] a record that cannot be created again is told and tried again later; its sale waits in the inbox', async () => {
    const sale = await loseSale();
    expect(faults).to.have.length(1);
    expect(faults[0])
      .to.match(/^resend_failing: .*name holds a blob/)
      .and.contain(sale.batchId);
    expect(session.resender.findSuccessor(sale.batchId)).to.equal(undefined);
    expect([await session.store.inboxCount(), (await outbox()).length]).to.deep.equal([1, 0]);
    // Not at once, and whatever else there is to do goes on.
    for (let round = 0; round < 3; round += 1) {
      sellInvoice(branch.erp, invoice(`next${round}`, [item('B')]));
      drainOnce(session.drain);
    }
    expect(faults).to.have.length(1);
    expect(session.resender.hasDue()).to.equal(false);
    expect((await outbox()).map(({ mutations }) => mutations[0]?.id)).to.include('tirana/next2');
  });

  it('[P2] once the record can be created, what waited is sent again, and only once', async () => {
    const sale = await loseSale();
    branch.erp.database.exec(`UPDATE products SET name = 'tea'`);
    let resent: { batchId: string; as: string }[] = [];
    await until('it to be sent again', () => {
      if (session.resender.hasDue()) ({ resent } = drainOnce(session.drain));
      return resent.length > 0;
    });
    expect(resent.map(({ batchId }) => batchId)).to.deep.equal([sale.batchId]);
    expect(await session.store.inboxCount()).to.equal(0);
    // Refused once more for the same reason: that was the one time.
    const again = (await outbox()).find(({ batchId }) => batchId === resent[0]?.as);
    await settleAll([again!], 'not_found');
    expect(session.resender.findSuccessor(again!.batchId)).to.equal(undefined);
    expect(await session.store.inboxCount()).to.equal(1);
  });

  it('what was dismissed while it waited is not sent', async () => {
    const sale = await loseSale();
    await session.store.dismiss(sale.batchId);
    await until('it to be forgotten', () => {
      if (session.resender.hasDue()) drainOnce(session.drain);
      return session.resender.failing === 0;
    });
    expect(session.resender.failing).to.equal(0);
    expect((await outbox()).map(({ mutations }) => mutations[0]?.id)).to.not.include('tirana/2');
  });

  /** A sale refused because the centre has lost its product, which cannot be created: its name is a blob. */
  async function loseSale(): Promise<QueuedBatch> {
    sellInvoice(branch.erp, invoice('1', [item('A')]));
    await settleAll(await drained(), 'applied');
    sellInvoice(branch.erp, invoice('2', [item('A')]));
    const [sale] = await drained();
    branch.erp.database.exec(`UPDATE products SET name = x'00'`);
    drainOnce(session.drain);
    await settleAll([sale!], 'not_found');
    return sale!;
  }

  function nameProducts(skus: readonly string[], name: string): void {
    const insert = branch.erp.database.prepare('INSERT INTO products VALUES (?, ?, ?)');
    for (const sku of skus) insert.run(sku, name, '2.50');
  }

  async function drained(): Promise<QueuedBatch[]> {
    while (drainOnce(session.drain).more);
    return outbox();
  }

  function outbox(): Promise<QueuedBatch[]> {
    return session.store.outbox({ after: 0, limit: 1_000 });
  }

  /** As the gateway would: `not_found` for what adds to a record, `batch_refused` for the rest. */
  async function settleAll(batches: readonly QueuedBatch[], code: 'applied' | 'not_found'): Promise<void> {
    const settlements = batches.map(({ batchId, seq, mutations }) => {
      const results = mutations.map(({ op }): MutationResult => {
        if (code === 'applied') return { status: 'applied', version: 1 };
        return { status: 'rejected', code: op === 'patch' ? 'not_found' : 'batch_refused' };
      });
      const version = code === 'applied' ? 1 : null;
      const outcome = code === 'applied' ? ('applied' as const) : ('rejected' as const);
      return { batchId, outcome, verdict: { ok: true as const, seq, version, results } };
    });
    await session.store.settle(settlements);
  }
});
