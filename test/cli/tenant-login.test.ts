import { expect } from 'chai';
import { call, createPerson, mailsTo } from '../auth/support/client.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from '../auth/support/gateway.ts';
import type { Gateway } from '../auth/support/gateway.ts';
import { until } from '../support/sync-gateway.ts';
import { createTerminal, withFolder } from './terminal.ts';
import type { Terminal } from './terminal.ts';

const OTHER = 'another lantern 51 otter';

describe('sluice login into another tenant', () => {
  let gateway: Gateway;
  let tenantId: number;
  beforeEach(async () => {
    gateway = await startGateway();
    await createPerson(gateway, { username: 'ana' });
    const asAdmin = (path: string, json: object): ReturnType<typeof call> =>
      call(gateway, `/api/v1/admin${path}`, { json, key: ADMIN_KEY });
    tenantId = ((await asAdmin('/tenants', { name: 'Second' })).body['tenant'] as { id: number }).id;
    await asAdmin('/invitations', { email: 'ana@second.example.com', tenantId });
    const [mail] = await mailsTo(gateway, 'ana@second.example.com');
    const json = { token: /#(siv_\S+)/.exec(mail!.text)?.[1], username: 'ana', password: OTHER };
    await call(gateway, '/api/invitations/accept', { json });
  });
  afterEach(() => gateway.close());

  const open = (configDir: string): Terminal => createTerminal({ url: gateway.url, configDir });
  const logIn = (terminal: Terminal, password: string, ...more: string[]): Promise<number> => {
    terminal.type(`${password}\n`);
    return terminal.run('login', 'ana', '--password-stdin', ...more);
  };
  const tenantSeen = async (folder: string): Promise<unknown> => {
    const terminal = open(folder);
    await terminal.run('whoami', '--json');
    return (JSON.parse(terminal.out()) as { user: { tenant_id: number } }).user.tenant_id;
  };

  it('takes the number of the tenant, and without it looks where people sign up', () =>
    withFolder(async (folder) => {
      const there = open(folder);
      expect(await logIn(there, OTHER, '--tenant-id', String(tenantId)), there.err()).to.equal(0);
      expect(await tenantSeen(folder)).to.equal(tenantId);
      expect(await logIn(open(folder), PASSWORD)).to.equal(0);
      expect(await tenantSeen(folder)).to.equal(1);
      expect(await logIn(open(folder), OTHER)).to.equal(77);
    }));

  it('[S29] says the same of a tenant that there is not', () =>
    withFolder(async (folder) => {
      const said = [];
      for (const tenant of [tenantId, 4_711]) {
        const terminal = open(folder);
        expect(await logIn(terminal, 'a wrong one', '--tenant-id', String(tenant), '--json')).to.equal(77);
        said.push(terminal.err());
      }
      expect(said[0]).to.equal(said[1]).and.include('invalid_credentials');
    }));

  it('asks for the name where it is left out, and does not go with --device', () =>
    withFolder(async (folder) => {
      const tty = { columns: 80, rows: 24 };
      const terminal = createTerminal({ url: gateway.url, configDir: folder, tty });
      const running = terminal.run('login', '--tenant-id', String(tenantId));
      for (const [question, answer] of [
        ['Username', 'ana'],
        ['Password', OTHER],
      ] as const) {
        await until(question, () => terminal.out().includes(question));
        terminal.type(`${answer}\r`);
      }
      expect(await running, terminal.err()).to.equal(0);
      expect(await open(folder).run('login', '--device', '--tenant-id', '2')).to.equal(2);
      expect(await open(folder).run('login', 'ana', '--tenant-id', 'two')).to.equal(2);
    }));
});
