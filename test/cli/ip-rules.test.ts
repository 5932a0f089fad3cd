import { expect } from 'chai';
import { createPerson } from '../auth/support/client.ts';
import { ADMIN_KEY, PASSWORD, startGateway } from '../auth/support/gateway.ts';
import type { Gateway } from '../auth/support/gateway.ts';
import { createTerminal, withFolder } from './terminal.ts';

interface Outcome {
  code: number;
  out: string;
  err: string;
}

describe('address rules from the shell, at a real gateway', () => {
  let gateway: Gateway;
  beforeEach(async () => (gateway = await startGateway({ env: { PROOF_OF_WORK_AFTER: '1' } })));
  afterEach(() => gateway.close());
  const sluice = async (...argv: string[]): Promise<Outcome> => {
    let outcome: Outcome = { code: -1, out: '', err: '' };
    await withFolder(async (configDir) => {
      const environment = { adminKey: ADMIN_KEY };
      const terminal = createTerminal({ url: gateway.url, configDir, environment });
      terminal.type(`${PASSWORD}\n`);
      const code = await terminal.run(...argv);
      outcome = { code, out: terminal.out(), err: terminal.err() };
    });
    return outcome;
  };
  const rules = (...argv: string[]): Promise<Outcome> => sluice('admin', 'ip-rules', ...argv);

  it('denies, allows, lists and takes away, and says what came of it', async () => {
    const denied = await rules('deny', '203.0.113.9/24', '--note', 'a scan');
    expect(denied).to.include({ code: 0, out: '203.0.113.0/24 stays out from now on.\n' });
    const allowed = await rules('allow', '127.0.0.0/8', '--json');
    expect(JSON.parse(allowed.out)).to.have.nested.property('rule.action', 'allow');
    const listed = await rules('list');
    expect(listed.out)
      .to.match(/deny +203\.0\.113\.0\/24 +a scan/)
      .and.match(/allow +127\.0\.0\.0\/8/);
    const gone = await rules('delete', '203.0.113.0/24');
    expect(gone).to.include({ code: 0, out: 'The rule about 203.0.113.0/24 is gone.\n' });
    expect((await rules('delete', '203.0.113.0/24')).code).to.equal(1);
  });

  it('keeps out the address one comes from only when that is said', async () => {
    const mistake = await rules('deny', '127.0.0.1', '--json');
    expect([mistake.code > 0, JSON.parse(mistake.err)]).to.deep.include(true);
    expect(mistake.err).to.include('would_lock_out');
    expect((await rules('deny', '127.0.0.1', '--force')).code).to.equal(0);
    expect((await rules('delete', '127.0.0.1/32')).code).to.equal(0);
  });

  it('a login from the shell does the work that is asked for', async () => {
    const { username } = await createPerson(gateway);
    const json = { username: 'nobody', password: 'wrong' };
    const ask = (): Promise<Response> =>
      fetch(`${gateway.url}/api/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(json),
      });
    await ask();
    expect((await ask()).status).to.equal(428);
    const loggedIn = await sluice('login', username, '--password-stdin');
    expect([loggedIn.code, loggedIn.err]).to.deep.equal([0, '']);
  });
});
