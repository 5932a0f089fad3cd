import { expect } from 'chai';
import { auditRows, call, createPerson, logIn, mailsTo } from './support/client.ts';
import type { Answer } from './support/client.ts';
import { ADMIN_KEY, startGateway } from './support/gateway.ts';
import type { Gateway } from './support/gateway.ts';

describe('tenants', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());
  const rename = (id: number | string, name: string, by: object = { key: ADMIN_KEY }): Promise<Answer> =>
    call(gateway, `/api/v1/admin/tenants/${id}`, { method: 'PATCH', json: { name }, ...by });
  const list = async (by: object = { key: ADMIN_KEY }): Promise<unknown> =>
    (await call(gateway, '/api/v1/admin/tenants', by)).body['tenants'];
  const add = (name: string): Promise<Answer> =>
    call(gateway, '/api/v1/admin/tenants', { json: { name }, key: ADMIN_KEY });
  const invite = (): Promise<Answer> =>
    call(gateway, '/api/v1/admin/invitations', { json: { email: 'n@example.com' }, key: ADMIN_KEY });

  it('are renamed by the admin key, and their own by their administrators alone', async () => {
    const { id: second } = (await add('Second')).body['tenant'] as { id: number };
    const owner = await createPerson(gateway);
    const member = await createPerson(gateway);
    const [by, no] = [await logIn(gateway, owner.username), await logIn(gateway, member.username)];
    const answers = [
      await rename(1, 'Depot', { bearer: by.access }),
      await rename(second, 'Mine', { bearer: by.access }),
      await rename(1, 'Mine', { bearer: no.access }),
      await rename(second, 'Shop'),
      await rename(second + 7, 'None'),
      await rename('x', 'None'),
      await rename(1, ' '),
    ];
    expect(answers.map(({ status }) => status)).to.deep.equal([200, 404, 403, 200, 404, 400, 400]);
    expect(await list({ bearer: by.access })).to.deep.equal([{ id: 1, name: 'Depot' }]);
    expect(await list()).to.deep.equal([
      { id: 1, name: 'Depot' },
      { id: second, name: 'Shop' },
    ]);
    expect(await auditRows(gateway, 'tenant.renamed')).to.have.length(2);
  });

  it('[S38] a person proves anew who they are before they rename one', async () => {
    const { access } = await createPerson(gateway).then(({ username }) => logIn(gateway, username));
    gateway.clock.advance(11 * 60_000);
    expect((await rename(1, 'Depot', { bearer: access })).body['code']).to.equal('reauthentication_required');
  });

  it('one without a name is called by the address of the gateway in an invitation', async () => {
    await invite();
    const [unnamed] = await mailsTo(gateway, 'n@example.com');
    await rename(1, 'Depot Tirana');
    await invite();
    const mails = await mailsTo(gateway, 'n@example.com');
    const subjects = mails.map(({ subject }) => subject);
    expect(unnamed!.subject).to.equal(`You are invited to ${new URL(gateway.url).host} on Sluice`);
    expect(subjects).to.include('You are invited to Depot Tirana on Sluice');
  });
});
