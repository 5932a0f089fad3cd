import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DatabaseSync } from '@photostructure/sqlite';
import { expect } from 'chai';
import { createErp, sellInvoice } from '../../demo/retail/erp.ts';
import { startSyncGateway, until } from '../support/sync-gateway.ts';
import type { SyncGateway } from '../support/sync-gateway.ts';
import type { Branch } from './support.ts';
import {
  centreBooks,
  createBranch,
  invoice,
  item,
  localBooks,
  recordsAt,
  sellMany,
  settled,
} from './support.ts';

const PROCESS = fileURLToPath(new URL('agent-process.ts', import.meta.url));

describe('agent: faults', () => {
  let gateway: SyncGateway;
  let branch: Branch;
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    gateway = await startSyncGateway();
    branch = createBranch(gateway.url, 'tirana');
  });

  afterEach(async () => {
    for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
    await branch.close();
    await gateway.close();
  });

  it('[P2] killed at random moments during the selling, the centre equals the books', async function () {
    this.timeout(90_000);
    for (let round = 0; round < 6; round += 1) {
      const child = spawnAgent();
      for (let at = 0; at < 12; at += 1) {
        sellInvoice(
          branch.erp,
          invoice(`${round}-${at}`, [item(`S${at % 5}`, 1 + at), item(`S${(at + 1) % 5}`)]),
        );
        await sleep(15 + Math.random() * 60);
      }
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await settled(gateway, branch.start());
    expect(Object.keys(localBooks(branch).invoices)).to.have.length(72);
    expect(await centreBooks(gateway, 'tirana')).to.deep.equal(localBooks(branch));
  });

  it('SIGTERM ends it cleanly, with exit code 0', async function () {
    this.timeout(30_000);
    const child = spawnAgent();
    const ended = once(child, 'exit');
    sellMany(branch.erp, 5);
    await until('a push', async () => (await recordsAt(gateway, 'fatura')).size > 0, 20_000);
    child.kill('SIGTERM');
    expect((await ended)[0]).to.equal(0);
  });

  it('[P1] offline for long, everything sold is pushed when the gateway is back', async () => {
    branch.config.gateway = 'http://127.0.0.1:9';
    const offline = branch.start();
    sellMany(branch.erp, 40);
    await until('the outbox', async () => (await offline.status()).queue >= 40);
    expect((await offline.status()).connected).to.equal(false);
    await branch.stop();
    branch.config.gateway = gateway.url;
    await settled(gateway, branch.start());
    expect(await centreBooks(gateway, 'tirana')).to.deep.equal(localBooks(branch));
  });

  it('[F35] a restored copy of the ERP file neither loses nor doubles', async () => {
    sellMany(branch.erp, 10, 'before');
    await settled(gateway, branch.start());
    await branch.stop();
    sellMany(branch.erp, 4, 'captured');
    // A movement without an invoice: nothing but its batchId keeps it from counting twice.
    branch.erp.database
      .exec(`INSERT INTO stock_movements (sku, quantity, moved_at) VALUES ('S1', 10, '2010-12-01');
      UPDATE stock SET quantity = quantity + 10 WHERE sku = 'S1'`);
    const { database } = branch.config;
    branch.erp.database.exec(`VACUUM INTO '${database}.backup'`);
    await settled(gateway, branch.start());
    await until('both', async () => (await recordsAt(gateway, 'fatura')).size === 14);
    await branch.stop();
    restore(`${database}.backup`);
    sellMany(branch.erp, 3, 'after');
    const agent = branch.start();
    await until('all', async () => (await recordsAt(gateway, 'fatura')).size === 17);
    await settled(gateway, agent);
    expect(await centreBooks(gateway, 'tirana')).to.deep.equal(localBooks(branch));
    // What the copy sends again is known by its batchId; at most the inbox says so.
    const codes = branch.lines.filter((line) => line.event === 'batch_refused').map((line) => line['code']);
    expect(codes.filter((code) => code !== 'seq_reuse')).to.deep.equal([]);
  });

  it('[F35] a file replaced while the agent runs is taken up, and one that is gone is waited for', async () => {
    sellMany(branch.erp, 5, 'before');
    const agent = branch.start();
    await settled(gateway, agent);
    const { database } = branch.config;
    branch.erp.database.exec(`VACUUM INTO '${database}.backup'`);
    branch.erp.close();
    renameSync(database, `${database}.old`);
    await until(
      'the loss to be noticed',
      async () => (await agent.status()).state === 'waiting_for_database',
    );
    restore(`${database}.backup`);
    sellMany(branch.erp, 3, 'after');
    await until('all', async () => (await recordsAt(gateway, 'fatura')).size === 8);
    await settled(gateway, agent);
    expect(await centreBooks(gateway, 'tirana')).to.deep.equal(localBooks(branch));
  });

  it('a database locked by the ERP is waited for', async () => {
    branch.config.busyTimeoutMs = 100;
    const agent = branch.start();
    await settled(gateway, agent);
    const other = new DatabaseSync(branch.config.database);
    sellMany(branch.erp, 2);
    other.exec('BEGIN IMMEDIATE');
    await until('the fault', () => branch.lines.some((line) => line.event === 'database_busy'));
    other.exec('COMMIT');
    other.close();
    await until('the sales', async () => (await recordsAt(gateway, 'fatura')).size === 2);
  });

  it('[F22] a disk that is full beside the database at the start is waited out', async function () {
    if (!existsSync('/dev/full')) this.skip();
    const beside = `${branch.config.database}.incarnation.tmp`;
    symlinkSync('/dev/full', beside);
    sellMany(branch.erp, 2);
    const agent = branch.start();
    await until('the fault', () => branch.lines.some((line) => line.event === 'database_full'));
    unlinkSync(beside);
    await until('the sales', async () => (await recordsAt(gateway, 'fatura')).size === 2);
    await settled(gateway, agent);
  });

  it('a second agent on the same database is refused', async () => {
    await settled(gateway, branch.start());
    expect(() => branch.start()).to.throw(/Another agent is running/);
  });

  it('one branch cannot take up the database of another', async () => {
    await settled(gateway, branch.start());
    await branch.stop();
    branch.config.partition = 'durres';
    expect(await branch.start().done).to.equal(78);
  });

  it('refused credentials end it with 77', async () => {
    const refused = { getAccessToken: () => Promise.resolve('not a token') };
    expect(await branch.start({ tokens: refused }).done).to.equal(77);
  });

  function spawnAgent(): ChildProcess {
    writeFileSync(branch.config.path, JSON.stringify(branch.config));
    const args = ['--import', 'tsx', PROCESS, branch.config.path];
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    children.push(child);
    return child;
  }

  function restore(backup: string): void {
    const { database } = branch.config;
    if (branch.erp.database.isOpen) branch.erp.close();
    for (const suffix of ['-wal', '-shm']) renameIfThere(`${database}${suffix}`);
    copyFileSync(backup, `${database}.new`);
    renameSync(`${database}.new`, database);
    branch.erp = createErp(database);
  }

  function renameIfThere(path: string): void {
    try {
      renameSync(path, `${path}.old`);
    } catch {
      // A clean close has removed it.
    }
  }
});
