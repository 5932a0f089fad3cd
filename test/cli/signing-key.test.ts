import { expect } from 'chai';
import { ADMIN_KEY, startGateway } from '../auth/support/gateway.ts';
import type { Gateway } from '../auth/support/gateway.ts';
import { createTerminal, withFolder } from './terminal.ts';
import type { Terminal } from './terminal.ts';

const ROTATE = ['admin', 'keys', 'rotate-signing'];

describe('[S44] the signing key from the shell, at a real gateway', () => {
  let gateway: Gateway;
  afterEach(() => gateway.close());
  const open = (configDir: string): Terminal =>
    createTerminal({ url: gateway.url, configDir, environment: { adminKey: ADMIN_KEY } });

  it('is rotated, at once or when every service may have it, and is told', () =>
    withFolder(async (folder) => {
      gateway = await startGateway();
      const waiting = open(folder);
      expect(await waiting.run(...ROTATE), waiting.err()).to.equal(0);
      expect(waiting.out()).to.match(/^The signing key \S+ is published, and signs from about .* UTC on\./);
      const json = open(folder);
      expect(await json.run(...ROTATE, '--immediately', '--json'), json.err()).to.equal(0);
      const { key } = JSON.parse(json.out()) as { key: Record<string, string> };
      expect(key).to.have.all.keys('kid', 'state', 'createdAt', 'signsFrom');
      expect([key['state'], waiting.out().includes(key['kid']!)]).to.deep.equal(['active', true]);
      expect(gateway.identity.core.keys.signer().kid).to.equal(key['kid']);
    }));

  it('is none with JWT_SECRET, which is said', () =>
    withFolder(async (folder) => {
      gateway = await startGateway({ env: { JWT_SECRET: 'a secret for tests only, of more than 32 bytes' } });
      const terminal = open(folder);
      expect(await terminal.run(...ROTATE)).to.equal(1);
      expect(terminal.err()).to.contain('JWT_SECRET here').and.contain('JWT_SECRET_PREVIOUS');
    }));
});
