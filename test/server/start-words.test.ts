import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { readArguments } from '../../server/arguments.ts';
import { environment, parseConfig } from '../../server/config.ts';
import { findNotBuilt } from '../../server/not-built.ts';
import { explainStart } from '../../server/start-faults.ts';

const MAIN = fileURLToPath(new URL('../../server/main.ts', import.meta.url));

describe('what the gateway says to who starts it', () => {
  it('[OP10] takes --help and no other argument, and says where settings go', function () {
    this.timeout(30_000);
    expect(readArguments([])).to.equal(undefined);
    const help = readArguments(['--help']) as { help: string };
    for (const name of Object.keys(environment.shape)) expect(help.help).to.contain(name);
    expect(readArguments(['--port', '80']))
      .to.have.property('refused')
      .that.contains('PORT=… npm start');
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', MAIN, '--prot', '80'],
      {
        encoding: 'utf8',
        timeout: 20_000,
      },
    );
    expect([status, stdout]).to.deep.equal([2, '']);
    expect(stderr).to.contain('"--prot"').and.contain('--help');
  });

  it('[OP1] the example for SMTP_PORT is one of a mail server', () => {
    expect(() => parseConfig({ SMTP_PORT: 'x' })).to.throw(/SMTP_PORT: .*such as 587/);
    expect(() => parseConfig({ PORT: 'x' })).to.throw(/PORT: .*such as 8300/);
  });

  const faults: [string, object, RegExp][] = [
    [
      'nothing listens',
      { code: 'ECONNREFUSED' },
      /nothing listens there: start PostgreSQL.*leave DATABASE_URL out/i,
    ],
    ['no such host', { code: 'ENOTFOUND' }, /host/],
    ['a wrong password', { code: '28P01' }, /user and password/],
    ['no such database', { code: '3D000' }, /createdb/],
  ];
  for (const [what, fault, words] of faults) {
    it(`[OP1] a database that cannot be used: what to do (${what})`, () => {
      const config = parseConfig({ DATABASE_URL: 'postgres://sluice:hunter2@127.0.0.1:5433/shop' });
      const { message } = explainStart(Object.assign(new Error(''), fault), config);
      expect(message).to.match(words);
      expect(message).to.contain('DATABASE_URL').and.not.contain('hunter2');
    });
  }

  it('an address that is not built yet is told apart from one that never will be', () => {
    for (const path of [
      '/v1/records',
      '/sync/push',
      '/connection/test',
      '/config',
      '/api/v1/admin/config',
      '/audit/export',
      '/openapi.json',
      '/docs',
    ])
      expect(findNotBuilt(path), path).to.contain('not built yet').and.contain('README');
    for (const path of ['/v2', '/synced', '/audit/logs', '/api/v1/admin/configs', '/documents'])
      expect(findNotBuilt(path), path).to.equal(undefined);
  });
});
