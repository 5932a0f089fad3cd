import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { runCommand } from '../../agent/commands.ts';
import { createErp } from '../../demo/retail/erp.ts';
import { createClient } from '../auth/support/client.ts';
import { startGateway } from '../auth/support/gateway.ts';
import type { Gateway } from '../auth/support/gateway.ts';

const EXAMPLE = new URL('../../agent/example-config.json', import.meta.url);
const { clientSecretFile: _file, ...EXAMPLE_CONFIG } = JSON.parse(readFileSync(EXAMPLE, 'utf8')) as Record<
  string,
  unknown
>;
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = pair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
const publicJwk = pair.publicKey.export({ format: 'jwk' });

describe('agent: a key instead of a secret', () => {
  let folder: string;
  let file: string;
  let config: Record<string, unknown>;
  let out = '';

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sluice-agent-key-'));
    file = join(folder, 'agent.json');
    writeFileSync(join(folder, 'branch.key'), pem, { mode: 0o600 });
    createErp(join(folder, 'erp.sqlite')).close();
    config = {
      ...EXAMPLE_CONFIG,
      ...{ gateway: 'http://127.0.0.1:9', database: 'erp.sqlite', partition: 'tirana' },
      privateKeyFile: 'branch.key',
    };
    out = '';
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function agent(...args: string[]): Promise<number> {
    writeFileSync(file, JSON.stringify(config));
    const stdout = { write: (text: string) => (out += text) };
    const deps = { stdout, stderr: stdout, onStop: () => undefined };
    return runCommand(deps, [...args, '--config', file]);
  }

  describe('on the real gateway', () => {
    let gateway: Gateway;
    afterEach(() => gateway.close());

    async function start(env: Record<string, string> = {}, more: object = {}): Promise<void> {
      gateway = await startGateway({ env: { AUTH_FAILURE_LIMIT: '1000', ...env } });
      const { clientId } = await createClient(gateway, {
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: { keys: [{ ...publicJwk, ...more }] },
        partitions: ['tirana', '*:read'],
      });
      Object.assign(config, { gateway: gateway.url, clientId });
    }

    it('check logs in with it: PEM, and JWK with its kid', async () => {
      await start({}, { kid: 'one' });
      expect(await agent('check'), out).to.equal(0);
      const jwk = { ...pair.privateKey.export({ format: 'jwk' }), kid: 'one' };
      writeFileSync(join(folder, 'branch.key'), JSON.stringify(jwk));
      expect(await agent('check'), out).to.equal(0);
      config['keyId'] = 'two';
      expect(await agent('check')).to.equal(77);
      expect(out).to.contain('is the public half of this key registered');
    });

    it('a gateway that calls itself by another address: check says which, and audience mends it', async () => {
      await start({ PUBLIC_URL: 'https://sync.example.com' });
      expect(await agent('check')).to.equal(77);
      expect(out).to.contain('"audience": "https://sync.example.com"').and.not.contain('is the public half');
      config['audience'] = 'https://sync.example.com';
      expect(await agent('check'), out).to.equal(0);
    });
  });

  it('a clock that is wrong is told as such', async () => {
    const http = createServer((request, response) => {
      response.setHeader('date', new Date(Date.now() - 600_000).toUTCString());
      const isToken = request.url === '/oauth/token';
      response.statusCode = isToken ? 401 : 200;
      response.end(JSON.stringify(isToken ? { error: 'invalid_client' } : { issuer: config['gateway'] }));
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    config['gateway'] = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    config['clientId'] = 'slc_1_somebody';
    try {
      const code = await agent('check');
      expect(code, out).to.equal(77);
      expect(out).to.match(/the clock of this machine is (59|60)\d s ahead of the gateway's: set it/);
    } finally {
      http.closeAllConnections();
      http.close();
    }
  });

  it('a key that cannot be used, or that is given beside a secret, is a fault of the configuration', async () => {
    const cases: [object, RegExp][] = [
      [{ privateKeyFile: 'none.key' }, /privateKeyFile: .*none\.key/],
      [{ privateKeyFile: 'half.key' }, /privateKeyFile: .*half\.key: .*is the file whole/],
      [{ clientSecret: 'hush-hush' }, /give exactly one of clientSecret, .* and privateKeyFile/],
      [{ privateKeyFile: undefined, clientSecret: 'x', keyId: 'one' }, /keyId: goes with privateKeyFile/],
    ];
    const whole = config;
    writeFileSync(join(folder, 'half.key'), pem.slice(0, 90), { mode: 0o600 });
    for (const [change, words] of cases) {
      config = { ...whole, ...change };
      out = '';
      expect(await agent('check')).to.equal(78);
      expect(out).to.match(words).and.not.contain('hush-hush');
    }
  });

  // Windows has no such bits: there the folder's access list protects the file.
  (process.platform === 'win32' ? it.skip : it)('a key that others may read is refused', async () => {
    chmodSync(join(folder, 'branch.key'), 0o644);
    expect(await agent('check')).to.equal(78);
    expect(out).to.contain('privateKeyFile: others may read').and.contain('chmod 600');
  });
});
