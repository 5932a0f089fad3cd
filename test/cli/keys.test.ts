import { expect } from 'chai';
import type { FakeHouse } from './fake-house.ts';
import { ADMIN_KEY, startFakeHouse } from './fake-house.ts';
import { createTerminal, withFolder } from './terminal.ts';

describe('admin keys in the terminal', () => {
  let house: FakeHouse;
  beforeEach(async () => (house = await startFakeHouse()));
  afterEach(() => house.close());

  const run = async (...argv: string[]): Promise<{ code: number; out: string; err: string }> => {
    let result = { code: -1, out: '', err: '' };
    await withFolder(async (configDir) => {
      const environment = { adminKey: ADMIN_KEY };
      const terminal = createTerminal({ url: house.url, configDir, environment });
      const code = await terminal.run('admin', 'keys', ...argv);
      result = { code, out: terminal.out(), err: terminal.err() };
    });
    return result;
  };
  const lastCall = (): unknown => {
    const { method, path, body } = house.calls.at(-1)!;
    return { method, path, body };
  };

  it('makes an owner, and a key for it that is shown once', async () => {
    const owner = await run('create-owner', '--name', 'Till', '--type', 'desktop');
    expect([owner.code, lastCall()]).to.deep.equal([
      0,
      { method: 'POST', path: '/api/v1/admin/clients', body: { name: 'Till', clientType: 'desktop' } },
    ]);
    const made = await run(
      ...['create', '--owner', 'Web shop', '--permission', 'sync:read', '--partition', 'p1'],
      ...['--rate', '1000', '--expires', '2027-12-31'],
    );
    expect(made.code, made.err).to.equal(0);
    expect(made.out)
      .to.contain('slk_1_abcd1234_secret')
      .and.contain('not shown again')
      .and.not.contain(ADMIN_KEY);
    expect(lastCall()).to.deep.include({
      body: {
        ...{ clientId: 'o1', permissions: ['sync:read'], partitions: ['p1'], rateLimit: 1000 },
        expiresAt: '2027-12-31T23:59:59.000Z',
      },
    });
  });

  it('lists, changes, rotates and revokes, by id or prefix, in words and as one JSON object', async () => {
    expect((await run('list')).out)
      .to.contain('abcd1234')
      .and.contain('2026-11-20T09:00');
    expect((await run('owners')).out).to.contain('Web shop');
    expect((await run('update', 'abcd1234', '--disable', '--permission', 'chat')).code).to.equal(0);
    expect(lastCall()).to.deep.equal({
      ...{ method: 'PUT', path: '/api/v1/admin/keys/k1/update' },
      body: { permissions: ['chat'], isActive: false },
    });
    const rotated = await run('rotate', 'k1', '--overlap', '2', '--json');
    expect(JSON.parse(rotated.out)).to.have.property('apiKey', 'slk_1_abcd1234_secret');
    expect(lastCall()).to.deep.include({ body: { overlapSeconds: 7_200 } });
    const revoked = await run('revoke', 'k1', '--json');
    expect(JSON.parse(revoked.out)).to.have.nested.property('key.id', 'k1');
    expect(lastCall()).to.deep.include({ method: 'DELETE', path: '/api/v1/admin/keys/k1/revoke' });
    expect(JSON.parse((await run('list', '--json')).out)).to.have.nested.property('keys[0].id', 'k1');
    expect(JSON.parse((await run('owners', '--json')).out)).to.have.nested.property('owners[0].id', 'o1');
  });

  it('2 for a wrong command line, 1 for a key or an owner that there is not', async () => {
    const wrong = [
      ['create', '--owner', 'Web shop'],
      ['create', '--owner', 'Web shop', '--permission', 'chat', '--expires', 'tomorrow'],
      ['update', 'k1'],
      ['update', 'k1', '--enable', '--disable'],
      ['create-owner', '--name', 'x', '--type', 'robot'],
    ];
    for (const argv of wrong) expect((await run(...argv)).code, argv.join(' ')).to.equal(2);
    expect((await run('revoke', 'unknown')).code).to.equal(1);
    expect((await run('create', '--owner', 'Nobody', '--permission', 'chat')).code).to.equal(1);
  });
});
