import { expect } from 'chai';
import { createCode } from '../../server/auth/one-time-codes.ts';
import { auditRows, call, createPerson, mailsTo, signUp } from './support/client.ts';
import { startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

describe('codes of sign-ups', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());

  it('[S26] a right code for an address that somebody has by now is refused like a wrong one', async () => {
    const { email } = await createPerson(gateway);
    const { id: userId, username } = await signUp(gateway, { email });
    const { core } = gateway.identity;
    const flow = { tenantId: 1, purpose: 'verify_email', userId, emailKey: email } as const;
    const code = await core.db.transaction(({ sql }) => createCode(core, sql, flow));
    const { status, body } = await call(gateway, '/api/verify-email', { json: { username, code } });
    const refused = (await auditRows(gateway, 'auth.verify_email')).filter(({ success }) => !success);
    const [row] = await gateway.db.sql('SELECT verified_at FROM users WHERE id = $1', [userId]);
    expect([status, body['code']]).to.deep.equal([400, 'invalid_code']);
    expect(refused.map(({ code: why, principal }) => [why, principal])).to.deep.equal([
      ['invalid_code', null],
    ]);
    expect(row).to.deep.equal({ verified_at: null });
    expect(await mailsTo(gateway, email)).to.have.length(2);
  });
});
