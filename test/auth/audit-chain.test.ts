import { expect } from 'chai';
import pg from 'pg';
import { appendAudit } from '../../server/audit.ts';
import { sealAudit, verifyAudit } from '../../server/audit-seals.ts';
import type { AuditProof } from '../../server/audit-seals.ts';
import { call, clientTokens, createClient } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

/** The second half of S62: what is changed behind the back of the log shows. */
describe('audit chain', () => {
  let gateway: Gateway;
  let owner: pg.Client;
  /** Rows that are sealed before a test begins: the gateway's own first ones too. */
  let before: number;
  const write = (tenantId: number, ...names: string[]): Promise<void> =>
    appendAudit(
      gateway.db.sql,
      ...names.map((name) => ({
        tenantId,
        action: `test.${name}`,
        principal: null,
        success: true,
        details: { name },
      })),
    );
  const seal = (): Promise<unknown[]> => sealAudit(gateway.identity.core, '0 seconds');
  const verify = (tenantId = 1): Promise<AuditProof> => verifyAudit(gateway.identity.core, tenantId);
  /** As a superuser would. */
  const tamper = async (statement: string): Promise<void> => {
    await owner.query('SET session_replication_role = replica');
    await owner.query(statement);
    await owner.query('RESET session_replication_role');
  };
  const faultsOf = async (): Promise<unknown[]> =>
    (await verify()).faults.map(({ seal: number, fault }) => [number, fault]);

  beforeEach(async () => {
    gateway = await startGateway();
    owner = new pg.Client({ connectionString: gateway.db.url });
    await owner.connect();
    for (const round of ['a', 'b', 'c']) {
      await write(1, `${round}1`, `${round}2`, `${round}3`);
      await seal();
    }
    before = (await verify()).rows;
  });
  afterEach(async () => {
    await owner.end();
    await gateway.close();
  });

  it('[S62] an untouched log proves itself, row by row, over every seal', async () => {
    await write(1, 'late');
    const proof = await verify();
    expect(before).to.be.at.least(9);
    expect(proof).to.deep.include({ ok: true, first: 1, seals: 3, rows: before, faults: [] });
    await seal();
    expect(await verify()).to.deep.include({ ok: true, seals: 4, rows: before + 1 });
  });

  for (const [what, statement] of [
    ['changed', `UPDATE audit_logs SET details = '{"name": "x"}' WHERE action = 'test.b2'`],
    ['changed in its outcome', `UPDATE audit_logs SET success = false WHERE action = 'test.b2'`],
    ['moved by a microsecond', `UPDATE audit_logs SET at = at + '1us'::interval WHERE action = 'test.b2'`],
    ['removed', `DELETE FROM audit_logs WHERE action = 'test.b2'`],
    [
      'slipped in',
      `INSERT INTO audit_logs (tenant_id, at, action, success) SELECT 1, at, 'forged', true FROM audit_logs WHERE action = 'test.b2'`,
    ],
  ] as const) {
    it(`[S62] a row that was ${what} behind its back is found, with its seal`, async () => {
      await tamper(statement);
      expect(await faultsOf()).to.deep.equal([[2, 'rows_changed']]);
    });
  }

  it('[S62] a seal made to fit the changed rows is found: its key is not in the database', async () => {
    await tamper(`UPDATE audit_logs SET details = '{}' WHERE action = 'test.b2'`);
    await tamper(
      `UPDATE audit_seals SET digest = sha256('whatever'), mac = sha256('whatever') WHERE number = 2`,
    );
    expect(await faultsOf()).to.deep.equal([
      [2, 'seal_changed'],
      [3, 'seals_missing'],
    ]);
  });

  it('[S62] a removed seal is found, with or without its rows', async () => {
    await tamper(`DELETE FROM audit_logs WHERE action LIKE 'test.b%'`);
    await tamper('DELETE FROM audit_seals WHERE number = 2');
    expect(await faultsOf()).to.deep.equal([[3, 'seals_missing']]);
  });

  it('a log that was thinned from its beginning proves what is left, and says where it begins', async () => {
    await tamper(`DELETE FROM audit_logs WHERE action LIKE 'test.a%'`);
    await tamper('DELETE FROM audit_seals WHERE number = 1');
    expect(await verify()).to.deep.include({ ok: true, first: 2, seals: 2 });
  });

  it('[S62] the seals refuse UPDATE and DELETE like the log', async () => {
    for (const statement of ['UPDATE audit_seals SET row_count = 0', 'DELETE FROM audit_seals']) {
      const refused = await owner.query(statement).catch((error: unknown) => (error as Error).message);
      expect(refused).to.contain('append-only');
    }
  });

  it('what a transaction still open will add is not sealed before it', async () => {
    const late = new pg.Client({ connectionString: gateway.db.url });
    await late.connect();
    await late.query('BEGIN');
    await late.query(`INSERT INTO audit_logs (tenant_id, action, success) VALUES (1, 'test.open', true)`);
    await write(1, 'meanwhile');
    await seal();
    expect((await verify()).rows).to.equal(before);
    await late.query('COMMIT');
    await late.end();
    await seal();
    expect(await verify()).to.deep.include({ ok: true, rows: before + 2 });
  });

  it('two nodes that seal at once make one chain', async () => {
    for (const name of ['d', 'e', 'f']) {
      await write(1, name);
      await Promise.all([seal(), seal(), seal()]);
    }
    await seal();
    expect(await verify()).to.deep.include({ ok: true, rows: before + 3, faults: [] });
  });

  it('[S63] GET /audit/verify proves the caller’s own tenant alone, to who may read it', async () => {
    await gateway.db.sql(`INSERT INTO tenants (id, name) VALUES (2, 'other')`);
    await write(2, 'theirs');
    await seal();
    await tamper(`UPDATE audit_logs SET details = '{}' WHERE action = 'test.theirs'`);
    const auditor = await clientTokens(gateway, await createClient(gateway, { scopes: ['audit:read'] }));
    const member = await clientTokens(gateway, await createClient(gateway, { scopes: ['sync:read'] }));
    await seal();
    const { status, body } = await call(gateway, '/audit/verify', { bearer: auditor.access });
    expect([status, body['ok'], body['faults']]).to.deep.equal([200, true, []]);
    expect((await verify(2)).faults).to.have.lengthOf(1);
    expect((await call(gateway, '/audit/verify', { bearer: member.access })).status).to.equal(403);
    expect((await call(gateway, '/audit/verify')).status).to.equal(401);
  });

  it('[S53] GET /audit/verify reads the whole log, so it is one of the strict operations: 3 in five minutes', async () => {
    const own = await startGateway({ env: { STRICT_LIMIT: '3' } });
    const { access } = await clientTokens(own, await createClient(own, { scopes: ['audit:read'] }));
    const statuses = [];
    for (let i = 0; i < 4; i += 1) {
      const { status, headers } = await call(own, '/audit/verify', { bearer: access });
      statuses.push([status, headers.has('retry-after')]);
    }
    const { status } = await call(own, '/audit/logs', { bearer: access });
    await own.close();
    const passed = [200, false];
    expect([statuses, status]).to.deep.equal([[passed, passed, passed, [429, true]], 200]);
  });
});
