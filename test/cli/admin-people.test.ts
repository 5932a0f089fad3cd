import { expect } from 'chai';
import { createPerson, mailsTo } from '../auth/support/client.ts';
import { ADMIN_KEY, startGateway } from '../auth/support/gateway.ts';
import type { Gateway } from '../auth/support/gateway.ts';
import { createTerminal, withFolder } from './terminal.ts';

interface Role {
  rateLimit: number | null;
}

interface Outcome {
  code: number;
  out: string;
  err: string;
}

describe('invitations and roles from the shell, at a real gateway', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway()));
  afterEach(() => gateway.close());
  const admin = async (...argv: string[]): Promise<Outcome> => {
    let outcome: Outcome = { code: -1, out: '', err: '' };
    await withFolder(async (configDir) => {
      const environment = { adminKey: ADMIN_KEY };
      const terminal = createTerminal({ url: gateway.url, configDir, environment });
      const code = await terminal.run('admin', ...argv);
      outcome = { code, out: terminal.out(), err: terminal.err() };
    });
    return outcome;
  };
  const json = ({ out }: Outcome): Record<string, unknown> => JSON.parse(out) as Record<string, unknown>;
  const error = ({ err }: Outcome): unknown => (JSON.parse(err) as { error: { code: string } }).error.code;

  it('invites, lists, withdraws; the link is in the mail alone', async () => {
    const made = await admin('invitations', 'create', '--email', 'new@example.com', '--partition', 'p1');
    const [mail] = await mailsTo(gateway, 'new@example.com');
    const listed = await admin('invitations', 'list');
    expect([made.code, listed.code]).to.deep.equal([0, 0]);
    expect(made.out).to.include('Invited new@example.com as member');
    expect(mail!.text).to.include('/invite#siv_1_');
    expect(made.out + listed.out).not.to.include('siv_');
    expect(listed.out).to.match(/new@example\.com +member +open .*p1/);
    const withdrawn = await admin('invitations', 'withdraw', 'NEW@example.com');
    expect(withdrawn).to.include({ code: 0, out: 'The invitation of new@example.com is withdrawn.\n' });
    expect((await admin('invitations', 'withdraw', 'new@example.com')).code).to.equal(1);
  });

  it('with --json says each as one object', async () => {
    const made = json(
      await admin('invitations', 'create', '--email', 'n@example.com', '--role', 'auditor', '--json'),
    );
    const { id } = made['invitation'] as { id: string };
    const { invitations } = json(await admin('invitations', 'list', '--json')) as {
      invitations: { id: string }[];
    };
    expect(invitations.map((one) => one.id)).to.deep.equal([id]);
    expect(json(await admin('invitations', 'withdraw', id, '--json'))).to.deep.equal({ withdrawn: id });
    expect(error(await admin('invitations', 'create', '--email', 'n', '--json'))).to.equal('invalid_request');
  });

  it('makes a role, changes it, gives it, and deletes it when nobody has it', async () => {
    await createPerson(gateway);
    const other = await createPerson(gateway);
    const made = await admin('roles', 'create', 'clerk', '--scope', 'sync:read', '--scope', 'chat');
    expect(made).to.include({ code: 0, out: 'clerk may: sync:read chat.\n' });
    const set = json(await admin('roles', 'set', 'clerk', '--scope', 'chat', '--json'));
    expect(set['role']).to.deep.include({ name: 'clerk', scopes: ['chat'], rateLimit: null });
    const rates = [];
    for (const rate of ['members', '50']) {
      const argv = ['roles', 'set', 'clerk', '--scope', 'chat', '--rate', rate, '--json'];
      rates.push((json(await admin(...argv))['role'] as Role).rateLimit);
    }
    expect(rates).to.deep.equal([null, 50]);
    expect((await admin('roles', 'set', 'clerk', '--rate', 'none')).code).to.equal(2);
    expect((await admin('users', 'grant', '--username', other.username, '--role', 'clerk')).code).to.equal(0);
    const listed = await admin('roles', 'list');
    expect(listed.out)
      .to.match(/owner +built in +1/)
      .and.match(/clerk +own +1 +chat +50/);
    expect(error(await admin('roles', 'delete', 'clerk', '--json'))).to.equal('role_in_use');
    await admin('users', 'grant', '--username', other.username, '--role', 'member');
    expect(json(await admin('roles', 'delete', 'clerk', '--json'))).to.deep.equal({ deleted: 'clerk' });
    expect(error(await admin('roles', 'set', 'owner', '--scope', 'chat', '--json'))).to.equal('forbidden');
  });

  it('acts in the tenant that is named', async () => {
    const second = await gateway.db.sql<{ id: number }>(
      `INSERT INTO tenants (name) VALUES ('Second') RETURNING id`,
    );
    const tenant = ['--tenant-id', String(second[0]!.id)];
    await admin('roles', 'create', 'clerk', ...tenant);
    await admin('invitations', 'create', '--email', 'n@example.com', '--role', 'clerk', ...tenant);
    const here = json(await admin('invitations', 'list', '--json'));
    const there = json(await admin('invitations', 'list', '--json', ...tenant));
    expect([here['invitations'], (there['invitations'] as object[]).length]).to.deep.equal([[], 1]);
  });
});
